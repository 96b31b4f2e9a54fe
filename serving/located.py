"""Points and depth of a frame, by the network and by MediaPipe, as they are shown live and saved."""

import base64
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from facerecon.inference.frames import BOX, DEPTH, FOUND_BY, POINTS3D, POINTS_CONFIDENCE, Depth, Frame, Image
from facerecon.inference.mesh import mesh_depth, mesh_points
from facerecon.perception.landmarks import Points

Point = tuple[float, float, float]

_COLOURS = ((70, 255, 140), (255, 177, 59))
"""Of points by the network and by MediaPipe."""

_READABLE = 640
"""A frame that is saved is enlarged to about so many pixels across."""

_DIM = 0.4
"""So bright is what is no face in a picture of depth."""


class DepthLevels(BaseModel):
    """Depth in ``side`` rows of as many bytes, as base64: 0 is outside the face, 1 ``reach`` pixels away from the mean
    of the points, 255 as many towards the camera. It lies in the square of this corner and this whole upper edge."""

    side: int
    levels: str
    corner: tuple[float, float]
    edge: tuple[float, float]


class Located(BaseModel):
    """The 68 points (x, y, z) of a face: x and y in pixels of the clip, z in these pixels towards the camera, from the
    mean of the points; and how deep it is. ``confidence`` is a network's, of each point."""

    points: list[Point]
    confidence: list[float] | None = None
    depth: DepthLevels


class LocatedFace(BaseModel):
    """A face: ``number`` from 1, the largest first, and what found it. ``box`` is left, top, right, bottom. ``network``
    and ``mediapipe`` are what each gives, null where that is nothing."""

    number: int
    found_by: str
    box: tuple[float, float, float, float]
    network: Located | None
    mediapipe: Located | None


def located_faces(frame: Frame, before: float) -> tuple[list[LocatedFace], float]:
    """The faces as they are told, and how far depth reaches, which was ``before`` in the frame before."""
    by_mesh = [mesh_depth(face) for face in frame.faces]
    by_network = [face[DEPTH] for face in frame.faces if DEPTH in face]
    reach = reach_of((*by_network, *(depth for depth in by_mesh if depth is not None)), before)
    faces = []
    for face, depth in zip(frame.faces, by_mesh, strict=True):
        network = mediapipe = None
        if POINTS3D in face:
            sure = _rounded(face[POINTS_CONFIDENCE], 3)
            network = {"points": _rounded(face[POINTS3D], 2), "confidence": sure, "depth": _levels(face[DEPTH], reach)}
        if depth is not None and (points := mesh_points(face)) is not None:
            mediapipe = {"points": _rounded(points, 2), "depth": _levels(depth, reach)}
        about = {"number": face.number, "found_by": face[FOUND_BY], "box": _rounded(face[BOX], 2)}
        faces.append(LocatedFace.model_validate({**about, "network": network, "mediapipe": mediapipe}))
    return faces, reach


def _levels(depth: Depth, reach: float) -> dict[str, Any]:
    known = np.isfinite(depth.values)
    counts = ((np.where(known, depth.values, 0) / max(reach, 1e-6) + 1) * 127).round().clip(0, 254).astype(np.uint8) + 1
    levels = base64.b64encode(np.where(known, counts, 0).astype(np.uint8).tobytes()).decode()
    square = {"corner": _rounded(depth.square.origin, 2), "edge": _rounded(depth.square.right, 2)}
    return {"side": len(depth.values), "levels": levels, **square}


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


def draw_depths(image: Image, several: Iterable[list[Depth]], reach: float) -> list[Image]:
    """For each of ``several`` lists a frame uint8 [H, W, 3], gray and dim, with the depth of its faces in colours: from
    ``reach`` pixels away, dark, to as many towards the camera, bright. The first faces lie over the others."""
    gray = cv2.convertScaleAbs(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), alpha=_DIM)
    dim = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    return [_drawn(dim, depths, reach) for depths in several]


def _drawn(dim: Image, depths: list[Depth], reach: float) -> Image:
    drawn = dim.copy()
    for depth in reversed([depth for depth in depths if _known(depth)]):
        _draw(drawn, depth, reach)
    return drawn


def draw_located(frame: Frame, model: str, reach: float) -> dict[str, Image]:
    """By name the frame with its points and its depth, by the network, called ``model``, and by MediaPipe; a small
    frame is enlarged by a whole number, so that the points stand apart."""
    scale = max(1, round(_READABLE / frame.size[1]))
    size = frame.size[1] * scale, frame.size[0] * scale
    panels: dict[str, Image] = {}
    by_network = [face[POINTS3D] for face in frame.faces if POINTS3D in face]
    by_mediapipe = [points for face in frame.faces if (points := mesh_points(face)) is not None]
    drawn = draw_depths(frame.image, depths_of(frame), reach)
    sources = zip((model, "MediaPipe"), (by_network, by_mediapipe), drawn, _COLOURS, strict=True)
    for name, located, depth, colour in sources:
        image, deep = (cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in (frame.image, depth))
        panels[f"Points by {name}"] = _dotted(np.asarray(image, np.uint8), [each * scale for each in located], colour)
        panels[f"Depth by {name}"] = np.asarray(deep, np.uint8)
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
