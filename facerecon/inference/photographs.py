"""Evaluation faces back in their photographs, to be found there as in use."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.geometry import Square, cut, face_square
from facerecon.data.manifest import Manifest
from facerecon.data.photos import NoPhotoError, read_photo
from facerecon.inference.chain import AT_ONCE
from facerecon.inference.frames import SQUARE, Frame
from facerecon.perception.landmarks import sixty_eight
from facerecon.progress import track

if TYPE_CHECKING:
    from facerecon.data.datasets import EvaluationFaces

LEAST_OVERLAP = 0.25
"""A face that is found is the true one if their squares' intersection over union is at least this."""

SAME_CROP = 1.0
"""By so much of 255 two crops of the same photograph may differ on average: another processor rounds otherwise."""


@dataclass(frozen=True)
class Photograph:
    """The face ``index`` of those to measure: its photograph uint8 [H, W, 3], and its true square in there."""

    index: int
    image: NDArray[np.uint8]
    square: Square


def photographs(faces: "EvaluationFaces", manifest: Manifest, unfit: Counter[str]) -> Iterator[list[Photograph]]:
    """The photographs, some at a time, as they do not fit into memory together; ``unfit`` counts who has none."""
    ready: list[Photograph] = []
    for index in track(range(len(faces)), "evaluating as used"):
        try:
            ready.append(_photograph(index, faces, manifest))
        except NoPhotoError as reason:
            unfit[str(reason)] += 1
        if len(ready) == AT_ONCE:
            yield ready
            ready = []
    if ready:
        yield ready


def _photograph(index: int, faces: "EvaluationFaces", manifest: Manifest) -> Photograph:
    image = read_photo(manifest, faces.rows.iloc[index])
    points = faces.points[index].all478
    if not points.any():
        raise NoPhotoError("the points of the face are not kept")
    square = face_square(sixty_eight(points))
    crop, _ = cut(image, square, faces.images.shape[1])
    if np.abs(crop.astype(np.int16) - faces.images[index]).mean() > SAME_CROP:
        raise NoPhotoError("the photograph does not give the crop that is kept")
    return Photograph(index, image, square)


def at_true(frame: Frame, photo: Photograph) -> Frame:
    """The frame with, of the faces found, the one that lies where the true one does; with none if none does."""
    overlaps = [(_overlap(face[SQUARE], photo.square), face) for face in frame.faces]
    best = max(overlaps, key=lambda pair: pair[0], default=None)
    return replace(frame, faces=() if best is None or best[0] < LEAST_OVERLAP else (best[1],))


def _overlap(one: Square, other: Square) -> float:
    """The intersection of two squares over their union."""
    common = float(cv2.intersectConvexConvex(one.corners, other.corners)[0])
    return common / (one.side**2 + other.side**2 - common)


def note(unfit: Counter[str], faces: int) -> str:
    """What could not be measured: ``3 of 50 faces: the photograph is gone``."""
    return "; ".join(f"{count} of {faces} faces: {reason}" for reason, count in sorted(unfit.items()))
