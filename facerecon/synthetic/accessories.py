"""Glasses and face masks pasted onto photographs, with the truth about which pixels they cover.

They are made to measure: in millimetres of an average face, laid out by the distance between the eyes (63 mm) and from
the eyes to the mouth (65 mm), so that they turn and shorten with the face.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.perception.landmarks import Points

EYES, MOUTH = 63.0, 65.0
"""Between the middles of the eyes, and from there to the mouth's, in millimetres."""

Image = NDArray[np.uint8]
Polygon = NDArray[np.float64]

_FINE = 4
"""A pixel is drawn as so many bits of subpixels."""


def paste(name: str, image: Image, points68: Points) -> tuple[Image, NDArray[np.bool_]]:
    """An RGB image uint8 [H, W, 3] with the accessory ``name`` of ``ACCESSORIES`` on the face whose 68 points these
    are, in pixels; and which pixels it covers, bool [H, W]."""
    points = np.asarray(points68, np.float64)[:, :2]
    left, right, mouth = points[36:42].mean(0), points[42:48].mean(0), points[[48, 54]].mean(0)
    middle = (left + right) / 2
    axes = np.stack([(right - left) / EYES, (mouth - middle) / MOUTH])
    pasted, covered = image.copy(), np.zeros(image.shape[:2], np.uint8)
    for polygon, colour in ACCESSORIES[name](points, lambda places: middle + np.asarray(places, np.float64) @ axes):
        # corners of pixels are whole numbers in points, their centres are in OpenCV
        corners = np.rint((np.clip(polygon, -8192, 8192) - 0.5) * 2**_FINE).astype(np.int32)
        cv2.fillPoly(pasted, [corners], colour, cv2.LINE_8, _FINE)
        cv2.fillPoly(covered, [corners], 1, cv2.LINE_8, _FINE)
    return pasted, covered.astype(bool)


Place = Callable[[list[tuple[float, float]] | Polygon], Polygon]
"""Millimetres from between the eyes, to the right and down, as pixels."""

Drawn = list[tuple[Polygon, tuple[int, int, int]]]
"""Polygons in pixels with their colours, the lowest first."""


def _glasses(
    width: float, height: float, bridge: float, frame: tuple[int, int, int], lens: tuple[int, int, int]
) -> Callable[[Polygon, Place], Drawn]:
    """Two lenses of these millimetres, so far apart, 4 mm lower than the pupils, in a frame of 3 mm."""

    def draw(points: Polygon, place: Place) -> Drawn:
        drawn: Drawn = [(place([(-bridge, -6), (bridge, -6), (bridge, -1), (-bridge, -1)]), frame)]
        for side in (-1, 1):
            centre = np.array([side * (bridge + width) / 2, 4.0])
            for more, colour in ((3.0, frame), (0.0, lens)):
                drawn.append((place(centre + _rounded(width / 2 + more, height / 2 + more)), colour))
        return drawn

    return draw


def _rounded(half_width: float, half_height: float) -> Polygon:
    """A superellipse of the fourth degree around 0."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    across, up = np.cos(turn), np.sin(turn)
    return np.stack([half_width * np.sign(across) * abs(across) ** 0.5, half_height * np.sign(up) * abs(up) ** 0.5], 1)


def _mask(begins: int, colour: tuple[int, int, int]) -> Callable[[Polygon, Place], Drawn]:
    """From one of the points of the bridge of the nose down to 6 mm below the chin, and along the jaw to the sides."""

    def draw(points: Polygon, place: Place) -> Drawn:
        lower = place([(0, 6)])[0] - place([(0, 0)])[0]
        jaw = points[2:15].copy()
        jaw[3:10] += lower
        return [(np.concatenate([jaw, [points[begins]]]), colour)]

    return draw


ACCESSORIES: dict[str, Callable[[Polygon, Place], Drawn]] = {
    "narrow glasses": _glasses(50, 30, 18, (20, 20, 24), (70, 72, 80)),
    "round glasses": _glasses(46, 44, 20, (90, 60, 30), (60, 66, 70)),
    "sunglasses": _glasses(58, 48, 14, (12, 12, 12), (25, 25, 28)),
    "surgical mask": _mask(28, (120, 170, 200)),
    "low mask": _mask(29, (230, 230, 232)),
}
"""By name."""
