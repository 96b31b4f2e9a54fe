"""Finding faces in frames, with five points each: MediaPipe for large faces, MTCNN for small ones.

MediaPipe's detector looks at the frame scaled down and sees faces of a fifth of it or more.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerecon.data.settings import FootageSettings
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points
from facerecon.perception.mtcnn import Mtcnn

Image = NDArray[np.uint8]

LARGE = 0.2
"""Faces lower than this share of a frame's shorter side are MTCNN's: MediaPipe does not see them."""

SMALLEST = 12
"""MTCNN's first stage looks at squares of so many pixels: smaller faces nothing finds."""

SURE = 0.9
"""The confidence from which on a face that is too small to be read is told of."""

MOST_FACES = 16
"""So many faces MediaPipe looks for in a frame."""

_LOOKED_AT = 1_000_000
"""So many pixels MTCNN looks at when it looks for the smallest faces."""

_SAME_FACE = 0.4
"""Two boxes that share more than this of the smaller one are of one face."""


@dataclass(frozen=True)
class Found:
    """A face in a frame, in pixels: ``box`` [4] left, top, right, bottom; ``points`` [5, 2] as in ``five_points``."""

    box: NDArray[np.float32]
    points: Points
    confidence: float

    @property
    def height(self) -> float:
        """The height of the box in pixels."""
        return float(self.box[3] - self.box[1])


class FaceFinder:
    """The detectors that ``settings.detector`` names. ``model`` is the FaceLandmarker bundle; one serves one thread."""

    def __init__(self, settings: FootageSettings, model: Path) -> None:
        self.settings = settings
        self._mediapipe = None if settings.detector == "mtcnn" else FaceLandmarker(model, MOST_FACES)

    def find(self, image: Image) -> list[Found]:
        """The faces at least ``min_face`` high in an RGB image uint8 [H, W, 3], largest first, each once."""
        return [face for face in self.find_all(image) if face.height >= self.settings.min_face]

    def find_all(self, image: Image) -> list[Found]:
        """The same, and what smaller faces were found on the way."""
        found: list[Found] = []
        if self._mediapipe:
            found += [_of_landmarks(points) for points, _ in self._mediapipe.detect(image)]
        small = self.settings.min_face < LARGE * min(image.shape[:2])
        if self.settings.detector != "mediapipe" and (small or not found):
            found += self._found_by_mtcnn(image, self.settings.min_face)
        return sorted(_each_once(found), key=lambda face: -face.height)

    def tallest_overlooked(self, image: Image) -> float:
        """The height of the tallest face that MTCNN finds, down to ``SMALLEST``, whatever the settings say; 0 if none.

        It is for images in which ``find`` saw nobody.
        """
        # of large frames the smallest faces are let go: the first stage would take gigabytes
        least = max(SMALLEST, round(SMALLEST * float(np.sqrt(image.shape[0] * image.shape[1] / _LOOKED_AT))))
        found = self._found_by_mtcnn(image, least)
        return max((face.height for face in found if face.confidence >= SURE), default=0.0)

    def close(self) -> None:
        """Free MediaPipe's graph and its threads."""
        if self._mediapipe:
            self._mediapipe.close()

    @cached_property
    def _mtcnn(self) -> Mtcnn:
        # one thread: frames are read by several processes
        return Mtcnn(threads=1)

    def _found_by_mtcnn(self, image: Image, smallest: int) -> list[Found]:
        faces = zip(*self._mtcnn.detect(image, smallest), strict=True)
        return [Found(box, points, float(confidence)) for box, points, confidence in faces]


def _of_landmarks(points: Points) -> Found:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return Found(np.concatenate([low, high]).astype(np.float32), five_points(points), 1.0)


def _each_once(found: list[Found]) -> list[Found]:
    """Without boxes that lie on one that came earlier: MediaPipe's before MTCNN's, and those surest first."""
    kept: list[Found] = []
    for face in found:
        if all(_shared(face.box, other.box) <= _SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The area that two boxes share, as a part of the smaller one's."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    smaller = min(float(np.prod(box[2:] - box[:2])) for box in (one, other))
    return float(np.prod(sides.clip(0))) / max(smaller, 1e-6)
