"""Restoring faces by a network that is trained for it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import RESTORATION
from facerecon.data.geometry import Square
from facerecon.inference.frames import EDITS, SQUARE, Edit, Face, Frame, Image
from facerecon.inference.restoration import Restored, restore
from facerecon.inference.stage import register_stage
from facerecon.inference.stages.network import NetworkSettings, NetworkStage, padding_remarks, place_in

KIND = "restoration"

FEATHER = 0.1
"""Over this share of a square's side, from its edge inwards, a restored face passes into the picture around it."""


@register_stage("restore", NetworkSettings)
class Restore(NetworkStage):
    """Each face is cut out of the original at the network's size, restored, and told as an edit with a soft edge."""

    name = "restore"
    version = 1
    signature = RESTORATION
    needs = frozenset({SQUARE})
    gives = frozenset({EDITS})

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with an edit for each face."""
        return restore_faces(frames, self.predictor.about.size, partial(restore, self.predictor))


def restore_faces(frames: list[Frame], size: int, make: Callable[[NDArray[np.uint8]], Restored]) -> list[Frame]:
    """The frames with an edit for each face: what is made of its crop, uint8 [N, size, size, 3]."""
    crops = [frame.crop(face[SQUARE], size) for frame in frames for face in frame.faces]
    if not crops:
        return frames
    restored = make(np.stack([image for image, _, _ in crops]))
    paddings = (padding for _, _, padding in crops)
    made = zip(restored.images, restored.confidences, paddings, strict=True)
    return [_restored(frame, [(face, *next(made)) for face in frame.faces], size) for frame in frames]


def _restored(frame: Frame, made: list[tuple[Face, Image, NDArray[np.float32], float]], size: int) -> Frame:
    """The frame with the edits of its faces, and what is to be said of them."""
    edits, said = [], []
    for face, pixels, confidence, padding in made:
        top, left, alpha = _feathered(face[SQUARE].scaled(frame.scale), frame.result_size)
        known = np.zeros(confidence.shape, np.uint8)
        edits.append(Edit(KIND, face.number, face[SQUARE], pixels, confidence, known, top, left, alpha))
        said += padding_remarks(face, padding)
        if (factor := size / face[SQUARE].side) > 1:
            said.append(
                f"face {face.number} is smaller than the network's {size} px: enlarged {factor:.2f} times first"
            )
        if face[SQUARE].side > len(pixels):
            said.append(
                f"face {face.number} is larger than the {len(pixels)} px that the network draws: detail is lost"
            )
    return replace(frame, edits=(*frame.edits, *edits)).remarked(*said)


def _feathered(square: Square, size: tuple[int, int]) -> tuple[int, int, NDArray[np.float32]]:
    """The alpha of a square in a picture of ``size`` (see ``Edit``): 0 at its edge, 1 from FEATHER of its side on."""
    top, left, place = place_in(square, size)
    inwards = np.minimum(place, 1 - place).min(2).clip(0, FEATHER) / FEATHER
    alpha: NDArray[np.float32] = (inwards**2 * (3 - 2 * inwards)).astype(np.float32)
    return top, left, alpha
