"""Points and depth of a frame, by the network and by MediaPipe, as they are shown live."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from facerecon.inference.frames import BOX, DEPTH, FOUND_BY, POINTS3D, POINTS_CONFIDENCE, Depth, Face, Frame, Image
from facerecon.inference.mesh import mesh_depth, mesh_points
from facerecon.perception.landmarks import Points

Point = tuple[float, float, float]

_COLOURS = ((70, 255, 140), (255, 177, 59))
"""Of points by the network and by MediaPipe."""

_DIM = 0.4
"""So bright is what is no face in a picture of depth."""


class LocatedFace(BaseModel):
    """A face: ``number`` from 1, the largest first, and what found it. ``box`` is left, top, right, bottom. ``network``
    and ``mediapipe`` are the 68 points (x, y, z) by each, null where it gives none; x and y are in pixels of the clip,
    z is in these pixels towards the camera, from the mean of the points. ``confidence`` is the network's, of each."""

    number: int
    found_by: str
    box: tuple[float, float, float, float]
    network: list[Point] | None
    confidence: list[float] | None
    mediapipe: list[Point] | None


def located_face(face: Face) -> LocatedFace:
    """A face as it is told."""
    return LocatedFace.model_validate(
        {
            "number": face.number,
            "found_by": face[FOUND_BY],
            "box": _rounded(face[BOX], 2),
            "network": _rounded(face[POINTS3D], 2) if POINTS3D in face else None,
            "confidence": _rounded(face[POINTS_CONFIDENCE], 3) if POINTS_CONFIDENCE in face else None,
            "mediapipe": None if (points := mesh_points(face)) is None else _rounded(points, 2),
        }
    )


def _rounded(values: NDArray[np.float32], digits: int) -> list[float]:
    return values.astype(np.float64).round(digits).tolist()


def depths_of(frame: Frame) -> tuple[list[Depth], list[Depth]]:
    """The depth of a frame's faces by the network, and by MediaPipe."""
    by_mesh = [depth for face in frame.faces if (depth := mesh_depth(face)) is not None]
    return [face[DEPTH] for face in frame.faces if DEPTH in face], by_mesh


def reach_of(depths: Iterable[Depth], before: float) -> float:
    """Where the colours of depth end: at so many pixels before and behind the mean of the points.

    A round number that holds them all, which stays what it was ``before`` as long as that serves.
    """
    most = max((float(np.nanmax(np.abs(depth.values))) for depth in depths if _known(depth)), default=before)
    if before / 2 <= most <= before:
        return before
    step = 10.0 ** np.floor(np.log10(max(most, 1.0)))
    return next(float(times * step) for times in (1, 1.5, 2, 3, 4, 6, 8, 10) if times * step >= most)


def draw_depth(image: Image, depths: Iterable[Depth], reach: float) -> Image:
    """A frame uint8 [H, W, 3], gray and dim, with depth in colours on its faces: from ``reach`` pixels away, dark, to
    as many towards the camera, bright. The first faces lie over the others."""
    gray = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * np.float32(_DIM)).astype(np.uint8)
    drawn = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    for depth in reversed([depth for depth in depths if _known(depth)]):
        _draw(drawn, depth, reach)
    return drawn


def draw_located(frame: Frame, model: str, reach: float) -> dict[str, Image]:
    """By name, as large as the frame: its points and its depth by the network, called ``model``, and by MediaPipe."""
    panels: dict[str, Image] = {}
    by_network = [face[POINTS3D] for face in frame.faces if POINTS3D in face]
    by_mediapipe = [points for face in frame.faces if (points := mesh_points(face)) is not None]
    sources = zip((model, "MediaPipe"), (by_network, by_mediapipe), depths_of(frame), _COLOURS, strict=True)
    for name, located, depths, colour in sources:
        panels[f"Points by {name}"] = _dotted(frame.image, located, colour)
        panels[f"Depth by {name}"] = draw_depth(frame.image, depths, reach)
    return panels


def _dotted(image: Image, faces: list[Points], colour: tuple[int, int, int]) -> Image:
    drawn = image.copy()
    for points in faces:
        radius = max(1, round(float(np.ptp(points[:, 0])) / 60))
        for x, y in points[:, :2].tolist():
            # cv2 counts from the middle of the first pixel, in sixteenths
            middle = round((x - 0.5) * 16), round((y - 0.5) * 16)
            cv2.circle(drawn, middle, radius * 16, colour, cv2.FILLED, cv2.LINE_AA, shift=4)
    return drawn


def _draw(drawn: Image, depth: Depth, reach: float) -> None:
    """Draw a face's depth onto a picture, in place."""
    corners, (height, width) = depth.square.corners, drawn.shape[:2]
    left, top = np.floor(corners.min(0)).clip(0, [width, height]).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0)).clip([left, top], [width, height]).astype(int).tolist()
    if right == left or bottom == top:
        return
    known = np.isfinite(depth.values)
    matrix = depth.square.matrix(len(depth.values)) - [[0, 0, left], [0, 0, top]]
    size = (right - left, bottom - top)
    # where it is not known it must not enter its neighbours
    weight = cv2.warpAffine(known.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    filled = cv2.warpAffine(np.where(known, depth.values, 0).astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    z = filled / np.maximum(weight, 1e-6)
    level = ((z / reach + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)
    window = drawn[top:bottom, left:right]
    window[weight > 0.5] = colours[weight > 0.5]


def _known(depth: Depth) -> bool:
    return bool(np.isfinite(depth.values).any())
