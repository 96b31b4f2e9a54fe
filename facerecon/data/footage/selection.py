"""How good a face in a frame is, and which frames of a track are kept."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.footage.detection import Found
from facerecon.perception.landmarks import Points

Image = NDArray[np.uint8]

_SIDE = 64
"""Sharpness is measured at this height, so that it does not grow with the face."""

_FULL_SIZE, _FAIR_SHARPNESS = 128, 100
"""The height in pixels that counts as large, and the variance of the Laplacian that counts one half."""

_NOSE_ACROSS, _NOSE_ALONG, _NOSE_DOWN = 0.62, 0.7, 0.6
"""How far the nose's tip stands out, in eye distances and in distances from eyes to mouth, and where it lies between
these in a face seen from the front. Fitted to what MediaPipe says of turning heads."""


@dataclass(frozen=True)
class Quality:
    """What makes a face good to learn from.

    ``height`` of the box in frame pixels; ``sharpness``: the variance of the Laplacian of the gray face at 64 px;
    ``yaw`` and ``pitch`` in degrees, estimated from five points (signs as in ``head_angles``); ``brightness``: the
    mean of the gray face, 0 to 255.
    """

    height: float
    sharpness: float
    yaw: float
    pitch: float
    brightness: float

    @property
    def score(self) -> float:
        """The four in one, 0 to 1: their geometric mean, so that one bad trait cannot be made up for by the others.

        Size: the height over 128 px, 1 from there on. Sharpness s: s / (s + 100). Pose: cos yaw times cos pitch.
        Brightness: 1 at mid-gray, 0 at black and white.
        """
        size = min(1.0, self.height / _FULL_SIZE)
        sharp = self.sharpness / (self.sharpness + _FAIR_SHARPNESS)
        pose = float(np.cos(np.radians(self.yaw)) * np.cos(np.radians(self.pitch)))
        light = 1 - abs(self.brightness / 127.5 - 1)
        return float((size * sharp * max(pose, 0) * max(light, 0)) ** 0.25)


def measure(image: Image, face: Found) -> Quality:
    """The quality of a face in its frame, uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    left, top, right, bottom = np.round(face.box).astype(int).clip(0, [width - 1, height - 1, width, height])
    gray = cv2.cvtColor(image[top : max(bottom, top + 1), left : max(right, left + 1)], cv2.COLOR_RGB2GRAY)
    wide = max(1, round(_SIDE * gray.shape[1] / gray.shape[0]))
    method = cv2.INTER_AREA if gray.shape[0] > _SIDE else cv2.INTER_LINEAR
    at_size = cv2.resize(gray, (wide, _SIDE), interpolation=method)
    yaw, pitch = pose(face.points)
    sharpness = float(cv2.Laplacian(at_size, cv2.CV_64F).var())
    return Quality(face.height, sharpness, yaw, pitch, float(gray.mean()))


def pose(five: Points) -> tuple[float, float]:
    """Yaw and pitch in degrees from eyes, nose and mouth corners [5, 2]: a turned head's nose leaves the middle.

    Roll is taken out first. A rough figure, 5 to 10 degrees off; beyond some 60 degrees it only says "far".
    """
    eyes, mouth = (five[0] + five[1]) / 2, (five[3] + five[4]) / 2
    across, down = five[1] - five[0], mouth - eyes
    apart, long = float(np.hypot(*across)), float(np.hypot(*down))
    if min(apart, long) < 1e-3:
        return 90.0, 0.0
    # in profile the eyes lie on one another: the face's length is then the better measure
    apart = max(apart, 0.5 * long)
    nose = five[2] - eyes
    upright = np.array([-down[1], down[0]]) / -long
    sideways = float(nose @ upright) / apart
    lower = float(nose @ down) / long**2 - _NOSE_DOWN
    yaw, pitch = np.degrees(np.arctan([sideways / _NOSE_ACROSS, -lower / _NOSE_ALONG]))
    return float(yaw), float(pitch)


def region(image: Image, box: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is kept around a face: a square of three box heights, as far as the frame goes.

    FFHQ's square has about one and a half box heights, and takes up to 1.4 times that when the head is tilted.
    """
    height, width = image.shape[:2]
    half = 1.5 * float(max(box[2:] - box[:2]))
    x, y = (box[:2] + box[2:]) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return left, top, min(width, int(np.ceil(x + half))), min(height, int(np.ceil(y + half)))


@dataclass(frozen=True)
class Kept:
    """A face that is kept: ``frame`` and ``time`` in its clip, its ``quality`` and the ``score`` it is chosen by, which
    is below 0 in interlaced frames.

    ``png`` is the region around it, whose top left corner is at ``corner`` in the frame; ``anchor`` is the point
    between the eyes, in pixels of the region.
    """

    frame: int
    time: float
    score: float
    quality: Quality
    corner: tuple[int, int]
    anchor: tuple[float, float]
    png: bytes


class Best:
    """The best faces of a track, ``most`` of them, found in one pass and with no more than these in memory.

    Time is cut into spans of ``apart`` seconds and no two are of one span: frames that follow each other are alike.
    """

    def __init__(self, most: int, apart: float) -> None:
        self._most, self._apart = most, apart
        self._of_span: dict[int, Kept] = {}

    def wants(self, time: float, score: float) -> bool:
        """Whether a face with this score would be kept for now."""
        rival = self._of_span.get(int(time / self._apart))
        if rival is not None:
            return score > rival.score
        return len(self._of_span) < self._most or score > min(face.score for face in self._of_span.values())

    def add(self, face: Kept) -> None:
        """Keep a face, if it is wanted, and let go of the one that it displaces."""
        if not self.wants(face.time, face.score):
            return
        self._of_span[int(face.time / self._apart)] = face
        if len(self._of_span) > self._most:
            del self._of_span[min(self._of_span, key=lambda span: self._of_span[span].score)]

    def faces(self) -> list[Kept]:
        """What is kept, in order of time."""
        return sorted(self._of_span.values(), key=lambda face: face.time)
