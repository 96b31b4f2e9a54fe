"""Filling what is hidden of a face by an inpainting network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import INPAINTING
from facerecon.inference.frames import EDITS, HIDDEN, SQUARE, Edit, Face, Frame, Image
from facerecon.inference.inpainting import Inpainted, inpaint
from facerecon.inference.stage import register_stage
from facerecon.inference.stages.network import NetworkSettings, NetworkStage, padding_remarks, place_in

KIND = "inpainting"


@dataclass(frozen=True, eq=False)
class _Cut:
    """A face's crop with its hole, and where the hole lies in the frame (see ``Edit``)."""

    face: Face
    image: Image
    hole: NDArray[np.uint8]
    top: int
    left: int
    alpha: NDArray[np.float32]


@register_stage("inpaint", NetworkSettings)
class Inpaint(NetworkStage):
    """Each face that has a hole in its square is cut out at the network's size, filled, and told as an edit."""

    name = "inpaint"
    version = 1
    signature = INPAINTING
    needs = frozenset({SQUARE, HIDDEN})
    gives = frozenset({EDITS})

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with an edit for each face that has a hole."""
        return fill_faces(frames, self.predictor.about.size, partial(inpaint, self.predictor))


Fill = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Inpainted]
"""Fills the holes of images uint8 [N, S, S, 3], ``masks`` uint8 [N, S, S] (1 = hole, 0 = known)."""


def fill_faces(frames: list[Frame], size: int, fill: Fill) -> list[Frame]:
    """The same frames with an edit for each face that has a hole in its square: cut out at ``size`` pixels, filled."""
    cuts = [_cuts(frame, size) for frame in frames]
    every = [cut for some, _ in cuts for cut in some]
    if not every:
        return [frame.remarked(*said) for frame, (_, said) in zip(frames, cuts, strict=True)]
    filled = fill(np.stack([cut.image for cut in every]), np.stack([cut.hole for cut in every]))
    made = zip(every, filled.images, filled.confidences, strict=True)
    edits = iter([_edit(cut, image, confidence) for cut, image, confidence in made])
    return [
        replace(frame, edits=(*frame.edits, *(next(edits) for _ in some))).remarked(*said)
        for frame, (some, said) in zip(frames, cuts, strict=True)
    ]


def _cuts(frame: Frame, size: int) -> tuple[list[_Cut], list[str]]:
    """The faces to fill, and what is to be said about the frame."""
    if frame.hidden is None or not frame.hidden.any():
        return [], ["nothing is hidden"] if frame.faces else []
    left = frame.hidden.copy()
    cuts, said = [], []
    for face in frame.faces:
        top, begin, place = place_in(face[SQUARE], frame.size)
        within = np.all((place >= 0) & (place < 1), axis=2)
        window = np.s_[top : top + within.shape[0], begin : begin + within.shape[1]]
        hole = within & left[window]
        if not hole.any():
            continue
        left[window] &= ~hole  # where squares overlap the larger face's network fills
        image, crop_hole, padding = frame.crop(face[SQUARE], size)
        cuts.append(_Cut(face, image, crop_hole, top, begin, hole.astype(np.float32)))
        said += padding_remarks(face, padding)
        if crop_hole.all():
            said.append(f"face {face.number}: nothing of it is known, all of it is made up")
    if (outside := int(left.sum())) and frame.faces:
        share = outside / int(frame.hidden.sum())
        said.append(f"{share:.1%} of what is hidden lies outside the squares of the faces taken: left as it is")
    return cuts, said


def _edit(cut: _Cut, image: Image, confidence: NDArray[np.float32]) -> Edit:
    known = (1 - cut.hole).astype(np.uint8)
    return Edit(KIND, cut.face.number, cut.face[SQUARE], image, confidence, known, cut.top, cut.left, cut.alpha)
