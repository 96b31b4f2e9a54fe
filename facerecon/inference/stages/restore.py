"""Restoring faces by a network that is trained for it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.contract import RESTORATION
from facerecon.data.geometry import Square
from facerecon.inference.chain import so_far
from facerecon.inference.frames import EDITS, SQUARE, Edit, Face, Frame, Image
from facerecon.inference.restoration import Restored, restore
from facerecon.inference.stage import register_stage
from facerecon.inference.stages.network import NetworkSettings, NetworkStage, padding_remarks, place_in

KIND = "restoration"

FEATHER = 0.1
"""Over this share of a square's side, from its edge inwards, a restored face passes into the picture around it."""


@register_stage("restore", NetworkSettings)
class Restore(NetworkStage):
    """Each face is cut out at the network's size, restored, and told as an edit with a soft edge.

    It is cut out of the original, or of what stages before have made of it: a face that was filled is restored as such.
    """

    name = "restore"
    version = 1
    signature = RESTORATION
    needs = frozenset({SQUARE})
    gives = frozenset({EDITS})

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with an edit for each face."""
        return restore_faces(frames, self.predictor.about.size, partial(restore, self.predictor))


def restore_faces(frames: list[Frame], size: int, make: Callable[[NDArray[np.uint8]], Restored]) -> list[Frame]:
    """The frames with an edit for each face: what is made of its crop, uint8 [N, size, size, 3].

    What is made of pixels that a stage before has made up is no surer than these.
    """
    crops = [crop for frame in frames for crop in _crops(frame, size)]
    if not crops:
        return frames
    restored = make(np.stack([crop.image for crop in crops]))
    made = zip(crops, restored.images, restored.confidences, strict=True)
    return [_restored(frame, [(face, *next(made)) for face in frame.faces], size) for frame in frames]


class _Crop(NamedTuple):
    """What the network sees of a face, and the share of it beyond the picture's borders; ``sure`` float32 [H, W] is the
    confidence of the whole frame so far, None where no stage before has made anything."""

    image: Image
    padding: float
    sure: NDArray[np.float32] | None


def _crops(frame: Frame, size: int) -> list[_Crop]:
    """The crops of a frame's faces."""
    seen, sure = so_far(frame) if frame.edits else (frame, None)
    scale = frame.scale if frame.edits else 1
    cuts = (seen.crop(face[SQUARE].scaled(scale), size) for face in frame.faces)
    return [_Crop(image, padding, sure) for image, _, padding in cuts]


def _least(sure: NDArray[np.float32], square: Square, size: int) -> NDArray[np.float32]:
    """The least confidence that enters each pixel of a square's crop, float32 [size, size]."""
    reach = 2 * int(np.ceil(square.side / size)) + 1
    least = cv2.erode(sure, np.ones((reach, reach), np.uint8))
    how = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    cropped = cv2.warpAffine(least, square.matrix(size), (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return cropped.astype(np.float32, copy=False)


def _restored(frame: Frame, made: list[tuple[Face, _Crop, Image, NDArray[np.float32]]], size: int) -> Frame:
    """The frame with the edits of its faces, and what is to be said of them."""
    edits, said = [], []
    for face, crop, pixels, own in made:
        placed = face[SQUARE].scaled(frame.scale)
        confidence = own if crop.sure is None else np.minimum(own, _least(crop.sure, placed, len(own)))
        top, left, alpha = _feathered(placed, frame.result_size)
        known = np.zeros(confidence.shape, np.uint8)
        edits.append(Edit(KIND, face.number, face[SQUARE], pixels, confidence, known, top, left, alpha))
        said += [remark for remark in padding_remarks(face, crop.padding) if remark not in frame.remarks]
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
