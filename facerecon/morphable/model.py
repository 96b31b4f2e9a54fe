"""The morphable model: a mean face and the directions in which faces differ and move, from drawn people."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerecon.randomness import generator
from facerecon.synthetic.mesh import read_canonical
from facerecon.synthetic.modes import EXPRESSIONS, SHAPES, field_basis
from facerecon.synthetic.people import draw_identity, draw_scene
from facerecon.weights import weights_path

Floats = NDArray[np.float32]

COMPONENTS = 40
"""Directions of identity that are kept."""

PEOPLE = 3000
"""People that are drawn for the model."""

SEED = int(generator("morphable model").integers(2**31))
"""Theirs: a world of their own, so that no person of a drawn data set (seeds 0, 1, ...) is among them."""

REACH = 3.0
"""So many standard deviations of an expression reach as far as any that is drawn: it is not normally distributed."""


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """Faces as ``mean + identity @ components + expression @ expressions``, cm, in the head's own frame: x to the right
    of an image that shows the face from the front, y up, z out of the face.

    ``mean`` float32 [468, 3] has the mean identity and the mean expression. ``components`` [40, 468, 3] are principal
    ones, the largest first, and ``expressions`` [9, 468, 3] the renderer's in the order of ``modes.EXPRESSIONS``; a
    coefficient's unit is one standard deviation. ``triangles`` int64 [898, 3] run counter-clockwise as seen from
    outside. ``explained`` is the share of the identities' variance that the components hold.
    """

    mean: Floats
    components: Floats
    expressions: Floats
    triangles: NDArray[np.int64]
    explained: float

    def shape(self, identity: NDArray[np.floating], expression: NDArray[np.floating]) -> Floats:
        """The vertices float32 [468, 3] in cm of coefficients [40] and [9]."""
        face = self.mean + np.tensordot(identity, self.components, 1) + np.tensordot(expression, self.expressions, 1)
        return face.astype(np.float32)


def load() -> MorphableModel:
    """The model on the canonical mesh of the weights ``face_landmarker``, made once a process, in about a second.

    The same each time. Raises FaceReconError if the weights cannot be had.
    """
    return _made(weights_path("face_landmarker"))


@lru_cache(maxsize=1)
def _made(weights: Path) -> MorphableModel:
    face, triangles = read_canonical(weights)
    modes = np.concatenate([np.stack([mode(face) for mode in SHAPES.values()]), field_basis(face)]).astype(np.float64)
    movements = np.stack([mode(face) for mode in EXPRESSIONS.values()]).astype(np.float64)
    people = [draw_identity(SEED, number) for number in range(PEOPLE)]
    coefficients = np.array([person.shape + person.field for person in people])
    drawn = np.array([draw_scene(SEED, number, 0).expression for number in range(PEOPLE)])

    # the PCA of the vertices, done in the few dimensions that the modes span
    basis, to_basis = np.linalg.qr(modes.reshape(len(modes), -1).T)
    places = coefficients @ to_basis.T
    middle = places.mean(axis=0)
    _, singular, directions = np.linalg.svd(places - middle, full_matrices=False)
    components = (directions @ basis.T)[:COMPONENTS] * (singular[:COMPONENTS, None] / np.sqrt(PEOPLE))
    # an eigenvector's sign is arbitrary: its largest number is positive
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(COMPONENTS), largest])[:, None]

    usual = drawn.mean(axis=0)
    spread = np.maximum(drawn.std(axis=0), np.abs(drawn - usual).max(axis=0) / REACH)
    mean = face + (basis @ middle).reshape(face.shape) + np.tensordot(usual, movements, 1)
    return MorphableModel(
        mean=mean.astype(np.float32),
        components=components.reshape(COMPONENTS, *face.shape).astype(np.float32),
        expressions=(movements * spread[:, None, None]).astype(np.float32),
        triangles=triangles,
        explained=float((singular[:COMPONENTS] ** 2).sum() / (singular**2).sum()),
    )
