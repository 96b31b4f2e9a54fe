"""Where a face is cut out of its photograph.

The square is FFHQ's (Karras et al., 2019): centred a tenth of the way from the eyes to the mouth, upright along the
eyes, its side the larger of 4 eye distances and 3.6 eye-to-mouth distances.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.perception.landmarks import Points


@dataclass(frozen=True)
class Square:
    """Where a face is cut: ``origin`` is the top left corner, ``right`` the whole upper edge, in photo pixels."""

    origin: Points
    right: Points

    @property
    def side(self) -> float:
        """The square's side in photo pixels."""
        return float(np.hypot(*self.right))

    @property
    def corners(self) -> Points:
        """The four corners [4, 2] in photo pixels, from the top left one clockwise."""
        down = np.array([-self.right[1], self.right[0]])
        return (self.origin + np.stack([0 * down, self.right, self.right + down, down])).astype(np.float32)

    def scaled(self, factor: float) -> "Square":
        """The same square in a photo that is ``factor`` times as high and as wide."""
        return Square(self.origin * factor, self.right * factor)

    def to_crop(self, points: Points, size: int) -> Points:
        """Photo points [K, >=2] in crop pixels [K, 2], for a crop of ``size``; (0, 0) is the corner."""
        down = np.array([-self.right[1], self.right[0]])
        axes = np.stack([self.right, down]) / self.side**2
        return ((points[:, :2] - self.origin) @ axes.T * size).astype(np.float32)

    def from_crop(self, points: Points, size: int) -> Points:
        """Points [K, >=2] of a crop of ``size`` pixels in photo pixels [K, 2]: what ``to_crop`` came from."""
        down = np.array([-self.right[1], self.right[0]])
        return (self.origin + points[:, :2] / size @ np.stack([self.right, down])).astype(np.float32)

    def matrix(self, size: int) -> NDArray[np.float64]:
        """The affine map [2, 3] from crop pixel indices to photo pixel indices, as cv2 counts them."""
        right = self.right.astype(np.float64) / size
        linear = np.array([[right[0], -right[1]], [right[1], right[0]]])
        offset = linear @ [0.5, 0.5] + self.origin - 0.5
        return np.column_stack([linear, offset])


def eye_distance(points68: Points) -> float:
    """The distance between the middles of the eyes, in the unit of the 68 points."""
    return float(np.hypot(*(points68[42:48, :2].mean(0) - points68[36:42, :2].mean(0))))


def face_square(points68: Points) -> Square:
    """FFHQ's square around a face, from its 68 points in photo pixels."""
    return square_around(points68[36:42, :2].mean(0), points68[42:48, :2].mean(0), points68[[48, 54], :2].mean(0))


def square_around(left_eye: Points, right_eye: Points, mouth: Points) -> Square:
    """FFHQ's square around a face, from the middles [2] of its eyes and of its mouth in photo pixels."""
    eyes = (left_eye + right_eye) / 2
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    half = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    half *= max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth)) / np.hypot(*half)
    down = np.array([-half[1], half[0]])
    return Square(eyes + 0.1 * eye_to_mouth - half - down, 2 * half)


AROUND = 1.4
"""Where landmarks are sought the side of a crop is so many times the square root of the area of the points' box."""


def box_of(points: Points) -> tuple[Points, float]:
    """The middle [2] of the box of points [K, >=2], and the square root of its area, in their unit."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return (low + high) / 2, float(np.sqrt(np.prod(high - low)))


def turned_square(middle: NDArray[np.floating], side: float, angle: float = 0.0) -> Square:
    """The square about ``middle`` [2] with its upper edge turned by ``angle`` radians, clockwise in the image."""
    right = side * np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-right[1], right[0]])
    return Square((middle - (right + down) / 2).astype(np.float32), right.astype(np.float32))


def outlined(points: Points, size: int) -> NDArray[np.bool_]:
    """Which pixels [size, size] lie within the convex hull of points [K, >=2]."""
    hull = cv2.convexHull(points[:, :2].astype(np.float32))
    return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull.round().astype(np.int32), 1) == 1


def cut(image: NDArray[np.uint8], square: Square, size: int) -> tuple[NDArray[np.uint8], float]:
    """The crop [size, size, 3] without aliasing, and the share of it that lies outside the photo (mirrored)."""
    factor = max(1, int(np.ceil(square.side / size)))
    large = cv2.warpAffine(
        image,
        square.matrix(size * factor),
        (size * factor, size * factor),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    inside = cv2.warpAffine(
        np.ones(image.shape[:2], np.uint8),
        square.matrix(size),
        (size, size),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    crop = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA) if factor > 1 else large
    return crop.astype(np.uint8, copy=False), float(1 - inside.mean())


LEAST_KNOWN = 0.25
"""From this share of its area on, what is known of a pixel stands for all of it."""


def cut_known(
    shown: NDArray[np.uint8], hidden: NDArray[np.bool_], square: Square, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float]:
    """As ``cut``, of a photo that is 0 where it is ``hidden`` [H, W]: crop, holes [size, size] (1 = hole), padding.

    A pixel is a hole if any photo pixel enters it that is hidden. But at the rim of a larger hole one of which
    LEAST_KNOWN is known is known: the mean of what is. Else a hole would grow by a pixel on each side.
    """
    crop, padding = cut(shown, square, size)
    factor = max(1, int(np.ceil(square.side / size)))
    # in floating point: a pixel that enters with the smallest weight counts
    large = cv2.warpAffine(
        hidden.astype(np.float32),
        square.matrix(size * factor),
        (size * factor, size * factor),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    ).reshape(size, factor, size, factor)
    known, touched = 1 - large.mean((1, 3), dtype=np.float64), large.max((1, 3)) > 0
    inner = (known < LEAST_KNOWN).astype(np.uint8)
    rim = touched & (inner == 0) & (cv2.dilate(inner, np.ones((3, 3), np.uint8)) == 1)
    crop[rim] = (crop[rim] / known[rim, None]).round().clip(0, 255).astype(np.uint8)
    return crop, (touched & ~rim).astype(np.uint8), padding


def cut_labels(labels: NDArray[np.uint8], scale: float, square: Square, size: int) -> NDArray[np.uint8]:
    """The crop [size, size] of a map of labels [H, W] that is ``scale`` times as large as the photo; 0 outside it."""
    turned = cv2.warpAffine(
        labels, square.scaled(scale).matrix(size), (size, size), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return turned.astype(np.uint8, copy=False)
