"""Faces too small for a detector that sees the whole photograph at once: it looks again, through windows.

MediaPipe's detector sees an image at 128 x 128 pixels, so that a face narrower than about a tenth of it is not seen.
A window is cut out at full resolution, and so are the landmarks that are found in it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.perception.landmarks import FaceLandmarker, Points

SMALLEST_WINDOW = 256
"""Windows are no narrower: a face that needs a narrower one is too small for a crop of 64 pixels."""

_LONG = 1.25
"""A photograph that is longer by this factor is looked at in squares of its shorter side first."""


_NEAR = 0.25
"""A face that is found again lies within this share of its width."""

Face = tuple[Points, NDArray[np.float64]]
"""Points [478, 3] and pose [4, 4], as ``FaceLandmarker.detect`` gives them."""


class Window(NamedTuple):
    """A square in pixels of the photograph, cut off at its borders."""

    left: int
    top: int
    side: int


def window_levels(height: int, width: int) -> Iterator[list[Window]]:
    """Squares that overlap by half and cover a photograph; those of each level have half the side of the one before."""
    side = min(height, width)
    if max(height, width) < _LONG * side:
        side //= 2
    while side >= SMALLEST_WINDOW:
        yield [Window(left, top, side) for top in _starts(height, side) for left in _starts(width, side)]
        side //= 2


def _starts(length: int, side: int) -> list[int]:
    count = -(-2 * (length - side) // side) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def around(box: NDArray[np.float64], size: tuple[int, ...], times: float = 2) -> Window:
    """The window around a box (left, top, right, bottom), so many ``times`` as wide, moved into the photograph.

    ``size`` is that of the photograph: height, width.
    """
    height, width = size[:2]
    side = int(min(times * max(box[2] - box[0], box[3] - box[1]), height, width))
    left, top = (int((low + high - side) / 2) for low, high in ((box[0], box[2]), (box[1], box[3])))
    return Window(min(max(left, 0), width - side), min(max(top, 0), height - side), side)


def detect_in(image: NDArray[np.uint8], windows: list[Window], detector: FaceLandmarker) -> list[Face]:
    """What ``FaceLandmarker.detect`` finds in ``windows`` of an image, in pixels of the image, each face once.

    Among many windows some show what only looks like a face: it is one if it is found again, in the same place, in a
    window around it and in a mirrored one. What is returned was found in the former, wherever the first window lay.
    """
    found: list[Face] = []
    for window in windows:
        for points, _ in _detect(image, window, detector):
            if any(_same(points, other) for other, _ in found):
                continue
            again = _nearest(points, _detect(image, around(_box(points), image.shape), detector))
            if again is None or any(_same(again[0], other) for other, _ in found):
                continue
            wide = around(_box(again[0]), image.shape, times=3)
            if _nearest(again[0], _detect(image, wide, detector, mirrored=True)):
                found.append(again)
    return found


def _detect(image: NDArray[np.uint8], window: Window, detector: FaceLandmarker, mirrored: bool = False) -> list[Face]:
    """Faces in a window. Of a mirrored one the points are turned back, but not named anew: left stays right."""
    left, top, side = window
    if side < 1:
        return []
    shown = image[top : top + side, left : left + side]
    faces = detector.detect(shown[:, ::-1] if mirrored else shown)
    if mirrored:
        turn, edge = np.array([-1, 1, 1], np.float32), np.array([side, 0, 0], np.float32)
        faces = [(points * turn + edge, matrix) for points, matrix in faces]
    return [(points + np.array([left, top, 0], np.float32), matrix) for points, matrix in faces]


def _nearest(points: Points, faces: list[Face]) -> Face | None:
    """Of ``faces`` the one in the place of ``points``, if there is one."""
    apart = [float(np.abs(_box(points) - _box(other)).max()) for other, _ in faces]
    near = min(range(len(faces)), key=apart.__getitem__, default=None)
    return faces[near] if near is not None and apart[near] < _NEAR * _width(points) else None


def _same(one: Points, other: Points) -> bool:
    apart = float(np.abs(_box(one) - _box(other)).max())
    return apart <= max(_width(one), _width(other)) / 2


def _box(points: Points) -> NDArray[np.float64]:
    return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]).astype(np.float64)


def _width(points: Points) -> float:
    return float(np.ptp(points[:, :2], axis=0).max())
