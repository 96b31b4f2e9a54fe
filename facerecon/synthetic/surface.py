"""The surface of a face between its points, as the camera sees it: what is hidden behind other parts is not seen."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerecon.perception.landmarks import Points, sixty_eight
from facerecon.synthetic.mesh import FACE_POINTS, read_canonical
from facerecon.synthetic.raster import Floats, Integers, rasterise
from facerecon.weights import weights_path

_FAR = 1e3
"""The camera is so many times farther away than the face is large: without perspective, to the eye."""

_Y_UP = np.array([1.0, -1.0, 1.0])
"""To the canonical face's axes and back."""


def mesh_surface(points: Points, size: int) -> NDArray[np.float32]:
    """z at the middle of each pixel of an image of ``size`` pixels: float32 [size, size], NaN beside the face.

    ``points`` [>=468, 3] are those of the canonical mesh in pixels of this image; z is in any unit and grows towards
    the camera. Raises FaceReconError if the weights ``face_landmarker``, which hold the mesh, cannot be had.
    """
    mesh, triangles = points[:FACE_POINTS], _canonical(weights_path("face_landmarker")).triangles
    z = mesh[:, 2].astype(np.float64)
    away = z.max() - z + _FAR * max(float(np.ptp(mesh, axis=0).max()), 1.0)
    fragments = rasterise(mesh[:, :2], away, triangles, size)
    found = np.full(size * size, np.nan, np.float32)
    found[fragments.pixel] = fragments.interpolate(z[:, None], triangles)[:, 0]
    return found.reshape(size, size)


def sixty_eight_surface(points: Points, size: int) -> NDArray[np.float32]:
    """The same of a face of which the 68 points [68, 3] are known: the canonical face, brought to them by a similarity
    and then through them by a thin-plate spline."""
    from skimage.transform import SimilarityTransform

    canonical = _canonical(weights_path("face_landmarker"))
    upright = points.astype(np.float64) * _Y_UP
    placed = SimilarityTransform.from_estimate(sixty_eight(canonical.face), upright)(canonical.face)
    through = placed + canonical.spline @ (upright - sixty_eight(placed))
    return mesh_surface((through * _Y_UP).astype(np.float32), size)


@dataclass(frozen=True, eq=False)
class _Canonical:
    """The canonical ``face`` [468, 3], its ``triangles`` [898, 3], and the ``spline`` [468, 68] that brings shifts of
    the 68 points to all."""

    face: Floats
    triangles: Integers
    spline: Floats


@lru_cache(maxsize=1)
def _canonical(weights: Path) -> _Canonical:
    from scipy.interpolate import RBFInterpolator

    face, triangles = read_canonical(weights)
    known = sixty_eight(face)
    return _Canonical(face, triangles, RBFInterpolator(known, np.eye(len(known)), kernel="thin_plate_spline")(face))
