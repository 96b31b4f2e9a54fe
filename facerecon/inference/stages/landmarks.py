"""Measuring faces by a network that is trained for it: where their parts are, and how deep."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import LANDMARKS
from facerecon.data.geometry import AROUND, Square, box_of, face_square, outlined, turned_square
from facerecon.inference.frames import DEPTH, POINTS3D, POINTS_CONFIDENCE, REFUSED, SQUARE, Depth, Face, Frame
from facerecon.inference.landmarks import Measured, measure
from facerecon.inference.stage import register_stage
from facerecon.inference.stages.network import NetworkSettings, NetworkStage, padding_remarks
from facerecon.perception.landmarks import Points

FIRST, BELOW = 0.82, 0.16
"""The side of the first crop, and how far its middle lies below that of the face's square, in sides of the square:
about the middle of the box of the 68 points, 1.1 times AROUND, on average over drawn faces."""

USUAL = 1.08
"""The second crop has so many times the side of AROUND: training's are 0.95 to 1.3 times as large."""

LEAST = 0.25
"""A face whose points have a lower mean confidence is none. The network of ``configs/landmarks.yaml`` loses 1 of 100
faces of LFW so, 3 as poor video, no drawn one; of 400 corners of these photographs it refuses four in five."""


@register_stage("landmarks", NetworkSettings)
class Landmarks(NetworkStage):
    """Each face is cut out twice: where its five points say, and then about the 68 that are found there.

    So what has found it, and how large a box that draws, matters little. A face of which the network is not sure is
    refused: it has nothing of what this stage gives but why, and a remark says so.
    """

    name = "landmarks"
    version = 1
    signature = LANDMARKS
    needs = frozenset({SQUARE})
    gives: frozenset[str] = frozenset({POINTS3D, POINTS_CONFIDENCE, DEPTH})

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames; each face that is one has its points and depth."""
        return measure_faces(frames, self.predictor.about.size, partial(measure, self.predictor))


Measure = Callable[[NDArray[np.uint8]], Measured]
"""Finds points and depth in images uint8 [N, S, S, 3]."""


def measure_faces(frames: list[Frame], size: int, find: Measure) -> list[Frame]:
    """The frames, each face with what is found in crops of ``size`` pixels; all faces are measured together."""
    faces = [(frame, face) for frame in frames for face in frame.faces]
    if not faces:
        return frames
    seen = _seen(faces, [first_square(face[SQUARE]) for _, face in faces], size, find)
    seen = _seen(faces, [square_about(each.points) for each in seen], size, find)
    made = iter(seen)
    return [_measured(frame, [(face, next(made)) for face in frame.faces]) for frame in frames]


def first_square(square: Square) -> Square:
    """The crop of a face of which a detector's eyes and mouth alone are known, and so its ``square``."""
    down = np.array([-square.right[1], square.right[0]])
    return turned_square(square.corners.mean(0) + BELOW * down, FIRST * square.side, _angle(square))


def square_about(points: Points) -> Square:
    """The upright crop about 68 points [68, >=2], as large as those of training in the mean."""
    angle = _angle(face_square(points))
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle, area = box_of(points[:, :2] @ axes.T)
    return turned_square(middle @ axes, max(1.0, USUAL * AROUND * area), angle)


def _angle(square: Square) -> float:
    return float(np.arctan2(square.right[1], square.right[0]))


class _Seen(NamedTuple):
    """What was found of a face, in pixels of its frame, ``padding`` being the share of the crop beyond it."""

    points: Points
    confidence: NDArray[np.float32]
    depth: Depth
    padding: float


def _seen(faces: list[tuple[Frame, Face]], squares: list[Square], size: int, find: Measure) -> list[_Seen]:
    """What is found in the squares, one for each face."""
    crops, _, paddings = zip(
        *(frame.crop(square, size) for (frame, _), square in zip(faces, squares, strict=True)), strict=True
    )
    found = find(np.stack(crops))
    seen = []
    for square, points, depth, confidence, padding in zip(squares, *found, paddings, strict=True):
        unit = square.side / size
        placed = np.column_stack([square.from_crop(points, size), points[:, 2] * unit]).astype(np.float32)
        values = np.where(outlined(points, size), depth * np.float32(unit), np.float32(np.nan))
        seen.append(_Seen(placed, confidence, Depth(square, values), padding))
    return seen


def _measured(frame: Frame, seen: list[tuple[Face, _Seen]]) -> Frame:
    """The frame with what was found of its faces, and what is to be said of them."""
    faces, said = [], []
    for face, found in seen:
        if (sure := float(found.confidence.mean())) < LEAST:
            why = f"no face by the network's confidence ({sure:.2f}, at least {LEAST:.2f} is asked)"
            face = face.told(REFUSED, why)
            said.append(f"face {face.number}: {why}")
        else:
            face = face.told(POINTS3D, found.points).told(POINTS_CONFIDENCE, found.confidence).told(DEPTH, found.depth)
            said += padding_remarks(face, found.padding)
        faces.append(face)
    return replace(frame, faces=tuple(faces)).remarked(*said)
