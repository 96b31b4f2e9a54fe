"""Regions of a face that can be hidden by name, from its 68 landmarks.

Each is a polygon in units of the face itself: the distance between the eyes, and the way from the eyes to the mouth.
"""

from collections.abc import Callable
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from facerecon.perception.landmarks import Points

DILATION = 0.08
"""By so many eye distances a region is larger than what it names, unless something else is asked for."""

Polygon = NDArray[np.float64]


def hide_region(name: str, points68: Points, size: tuple[int, int], dilation: float = DILATION) -> NDArray[np.bool_]:
    """Where one of ``REGIONS`` lies: bool [H, W] for a frame of ``size`` height, width. ``dilation`` is in eye
    distances."""
    points = np.asarray(points68, np.float64)[:, :2]
    reach = dilation * _Axes(points).between
    mask = np.zeros(size, np.uint8)
    for polygon in REGIONS[name](points):
        # on the part of the frame that it can reach: coordinates far outside would overflow OpenCV's
        low = np.floor(np.clip(polygon.min(0) - reach - 2, 0, [size[1], size[0]])).astype(int)
        high = np.ceil(np.clip(polygon.max(0) + reach + 2, 0, [size[1], size[0]])).astype(int)
        if (high <= low).any():
            continue
        window = mask[low[1] : high[1], low[0] : high[0]]
        # corners of pixels are whole numbers here, their centres are in OpenCV
        corners = np.rint((np.clip(polygon - low, -4096, 4096) - 0.5) * 16).astype(np.int32)
        drawn = window.copy()
        cv2.fillPoly(drawn, [corners], 1, cv2.LINE_8, 4)
        if reach > 0:
            cv2.polylines(drawn, [corners], True, 1, max(1, round(2 * reach)), cv2.LINE_8, 4)
        window |= drawn
    return mask.astype(bool)


class _Axes:
    """A face's own axes: ``across`` from the image's left eye to the right one, ``down`` from the eyes to the mouth."""

    def __init__(self, points: Polygon) -> None:
        self.left_eye, self.right_eye = points[36:42].mean(0), points[42:48].mean(0)
        self.eyes, self.mouth = (self.left_eye + self.right_eye) / 2, points[[48, 54]].mean(0)
        self.across, self.down = self.right_eye - self.left_eye, self.mouth - self.eyes
        self.between = float(np.hypot(*self.across))


def _glasses(points: Polygon) -> list[Polygon]:
    """Room for large lenses, 64 by 53 mm where the eyes are 63 mm apart, and for what joins them."""
    axes = _Axes(points)
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    across, down = (np.sign(way) * np.sqrt(abs(way)) for way in (np.cos(turn), np.sin(turn)))
    lens = 0.51 * across[:, None] * axes.across + 0.41 * down[:, None] * axes.down
    middle = axes.eyes + 0.06 * axes.down
    bridge = [middle + x * axes.across + y * axes.down for x, y in ((-0.3, -0.2), (0.3, -0.2), (0.3, 0.0), (-0.3, 0.0))]
    return [middle - 0.57 * axes.across + lens, np.stack(bridge), middle + 0.57 * axes.across + lens]


def _lower_face(points: Polygon) -> list[Polygon]:
    """From the nose's bridge to below the chin; under a mask the jaw is found too high and too narrow, so it is made
    wider and lower than it was found."""
    axes = _Axes(points)
    own = np.stack([axes.across, axes.down])
    jaw = (points[2:15] - axes.mouth) @ np.linalg.inv(own)
    jaw[:, 0] *= 1.2
    jaw[:, 1] = np.where(jaw[:, 1] > 0, 1.3 * jaw[:, 1], jaw[:, 1])
    return [np.concatenate([axes.mouth + jaw @ own, [points[28] - 0.08 * axes.down]])]


def _outline(points: Polygon) -> Polygon:
    """Jaw and forehead, from the image's left temple along the chin."""
    axes = _Axes(points)
    arch = np.stack([points[i] - s * axes.down for i, s in ((26, 0.55), (24, 0.85), (19, 0.85), (17, 0.55))])
    return np.concatenate([points[:17], arch])


def _face(points: Polygon) -> list[Polygon]:
    return [_outline(points)]


def _forehead(points: Polygon) -> list[Polygon]:
    brows, arch = points[17:27], _outline(points)[17:]
    return [np.concatenate([brows, arch])]


def _upper_face(points: Polygon) -> list[Polygon]:
    axes = _Axes(points)
    outline = _outline(points)
    return [_clipped(outline, axes.eyes + 0.5 * axes.down, -axes.down)]


def _half(side: int) -> Callable[[Polygon], list[Polygon]]:
    def half(points: Polygon) -> list[Polygon]:
        axes = _Axes(points)
        along = points[8] - points[27]
        return [_clipped(_outline(points), points[27], side * np.array([along[1], -along[0]]) * _sign(axes, along))]

    return half


def _sign(axes: _Axes, along: NDArray[np.float64]) -> float:
    return float(np.sign(np.array([along[1], -along[0]]) @ axes.across)) or 1.0


def _clipped(polygon: Polygon, through: NDArray[np.float64], towards: NDArray[np.float64]) -> Polygon:
    """The part of a polygon on the side ``towards`` of the line ``through`` a point (Sutherland and Hodgman, 1974)."""
    depth = (polygon - through) @ towards
    kept = []
    for index in range(len(polygon)):
        before, here = depth[index - 1], depth[index]
        if (before < 0) != (here < 0):
            kept.append(polygon[index - 1] + (polygon[index] - polygon[index - 1]) * before / (before - here))
        if here >= 0:
            kept.append(polygon[index])
    return np.stack(kept) if len(kept) > 2 else np.stack([through] * 3)


def _around(*parts: slice) -> Callable[[Polygon], list[Polygon]]:
    """The convex hull of each part's points."""

    def hulls(points: Polygon) -> list[Polygon]:
        return [cv2.convexHull(points[part].astype(np.float32)).reshape(-1, 2).astype(np.float64) for part in parts]

    return hulls


REGIONS: dict[str, Callable[[Polygon], list[Polygon]]] = {
    "glasses": _glasses,
    "eyes": _around(slice(36, 42), slice(42, 48)),
    "nose": _around(slice(27, 36)),
    "mouth": _around(slice(48, 60)),
    "lower-face": _lower_face,
    "upper-face": _upper_face,
    "forehead": _forehead,
    "left-half": _half(-1),
    "right-half": _half(1),
    "face": _face,
}
"""By name, left and right being the image's."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in REGIONS]:
        raise ValueError(f"region '{unknown[0]}' is not known; expected one of {', '.join(REGIONS)}")
    return names


Regions = Annotated[tuple[str, ...], AfterValidator(_known)]
"""Names of regions, in settings and forms."""
