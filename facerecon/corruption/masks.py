"""What hides a face: families of masks, each with an exact share of hidden pixels.

A mask is uint8 [size, size] of 0 and 1; **1 = hole** (missing), 0 = known. The hole ratio is the holes' area over the
image's area; a level is a range of it. A family decides the shape of the holes, the caller decides their area, and the
area is met by construction: shapes are drawn until the next one would be too much, and that one is cut to length.
Nothing is drawn and thrown away, so the time does not depend on luck.

A new family is one function with ``@register_family``; the tests find it in the registry.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.parts import PART_LABELS
from facerecon.errors import FaceReconError

Mask = NDArray[np.uint8]
Field = NDArray[Any]
"""Floating-point numbers, of 32 bits where speed counts."""

Focus = Literal["edges", "centre", "anywhere"]
"""Where holes prefer to lie: near the border, near the image's centre, or with no preference."""

FOCUSES: tuple[Focus, ...] = get_args(Focus)
LEVELS: dict[int, tuple[float, float]] = {1: (0.10, 0.30), 2: (0.30, 0.50), 3: (0.50, 0.70)}
"""Level -> lowest and highest hole ratio."""

TOLERANCE = 0.01
"""A mask's hole ratio is within this of the one asked for, for every family and every size."""

SMALLEST, LARGEST = 32, 1024
"""Sizes in pixels for which the tolerance is tested; below, one pixel's width of a stroke is more than it allows."""

Draw = Callable[[int, int, np.random.Generator, Focus], Mask]


@dataclass(frozen=True)
class Family:
    """One way of hiding: ``draw(size, count, rng, focus)`` returns a mask of about ``count`` hole pixels (1 = hole)."""

    name: str
    draw: Draw
    trained: bool


FAMILIES: dict[str, Family] = {}
"""Every family that has levels, by name."""


def register_family(name: str, *, trained: bool = True) -> Callable[[Draw], Draw]:
    """Register the decorated function as the family ``name``.

    It gets the size in pixels, the number of hole pixels wanted, a generator and the focus. ``trained=False`` keeps
    the family out of training, so that it measures what a model does with holes of a kind that it never saw.
    """

    def register(draw: Draw) -> Draw:
        if name in FAMILIES:
            raise ValueError(f"the mask family {name!r} is registered twice")
        FAMILIES[name] = Family(name, draw, trained)
        return draw

    return register


def draw_ratio(level: int, rng: np.random.Generator) -> float:
    """A hole ratio of ``level`` (1, 2 or 3), uniform over its range. Another level raises FaceReconError."""
    if level not in LEVELS:
        raise FaceReconError(f"level {level!r} does not exist: choose one of {', '.join(map(str, LEVELS))}")
    low, high = LEVELS[level]
    return float(rng.uniform(low, high))


def draw_mask(
    family: str, size: int, hole_ratio: float, rng: np.random.Generator, focus: Focus = "anywhere"
) -> NDArray[np.uint8]:
    """A mask uint8 [size, size], 1 = hole, whose hole ratio is within 0.01 of ``hole_ratio``.

    ``size`` is 32 to 1024 pixels, ``hole_ratio`` 0.05 to 0.95 (else ValueError). ``focus`` says where the holes
    prefer to lie. The result depends on the arguments and the generator's state alone. An unknown family, or the
    face features, which need landmarks (``draw_feature_mask``), raises FaceReconError.
    """
    if family not in FAMILIES:
        hint = "; features are drawn from landmarks by draw_feature_mask" if family == "features" else ""
        raise FaceReconError(f"mask family {family!r} is not one of {', '.join(FAMILIES)}{hint}")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"a mask's size is {SMALLEST} to {LARGEST} pixels, not {size}")
    if not 0.05 <= hole_ratio <= 0.95:
        raise ValueError(f"a hole ratio is 0.05 to 0.95, not {hole_ratio}")
    if focus not in FOCUSES:
        raise ValueError(f"focus {focus!r} is not one of {', '.join(FOCUSES)}")
    return FAMILIES[family].draw(size, round(hole_ratio * size * size), rng, focus)


# ------------------------------------------------------------------------------------------------ shared by families


@lru_cache(maxsize=8)
def _border_nearness(size: int) -> Field:
    """Float32 [size, size]: 0 at the image's centre, 1 at its border, the larger of the two coordinates' distances."""
    axis = np.abs((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1)
    field = np.maximum(axis[:, None], axis[None, :])
    field.setflags(write=False)
    return field


def _move(points: Field, focus: Focus) -> Field:
    """Move points [..., 2] of the unit square along the ray from its centre, towards the border or the centre."""
    if focus == "anywhere":
        return points
    offset = points * 2 - 1
    radius = np.maximum(np.abs(offset).max(axis=-1, keepdims=True), 1e-6)
    moved = 1 - (1 - radius) ** 3 if focus == "edges" else radius**2.5
    return (offset * (moved / radius) + 1) / 2


def _cut(score: Field, count: int) -> Mask:
    """The mask (1 = hole) of the ``count`` pixels of lowest score, and of those that equal the last one."""
    limit = np.partition(score, count - 1, axis=None)[count - 1]
    return (score <= limit).view(np.uint8)


def _known_point(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A random pixel of the known part of ``mask`` (1 = hole), as x, y in the unit square."""
    known = np.flatnonzero(mask == 0)
    row, column = divmod(int(known[rng.integers(known.size)]), mask.shape[0])
    return (column + 0.5) / mask.shape[0], (row + 0.5) / mask.shape[0]


# ---------------------------------------------------------------------------------------------------------- families

_STROKES, _TURNS, _SUBPIXEL = 12, 5, 4


def _strokes(rng: np.random.Generator, focus: Focus, start: tuple[float, float] | None) -> tuple[Field, Field]:
    """Twelve strokes: vertices [12, 6, 2] and widths [12], both as shares of the image's side.

    Each stroke turns by up to 80 degrees a vertex and is mirrored at the border. ``start`` is where the first begins.
    """
    numbers = rng.random((_STROKES, _TURNS * 2 + 4))
    heading = (2 * np.pi) * numbers[:, :1] + np.cumsum((numbers[:, 4 : 4 + _TURNS] - 0.5) * 2.8, axis=1)
    length = 0.08 + 0.22 * numbers[:, 4 + _TURNS :]
    vertices = np.empty((_STROKES, _TURNS + 1, 2))
    vertices[:, 0] = numbers[:, 1:3]
    vertices[:, 1:, 0] = np.cos(heading) * length
    vertices[:, 1:, 1] = np.sin(heading) * length
    np.cumsum(vertices, axis=1, out=vertices)
    vertices = _move(1 - np.abs(np.abs(vertices) % 2 - 1), focus)
    if start is not None:
        vertices[0, 0] = start
    return vertices, 0.09 + 0.12 * numbers[:, 3]


def _keep_nearest(mask: Mask, before: Mask, begin: tuple[int, int], room: int) -> None:
    """Of what a segment added to ``before``, keep in ``mask`` (changed in place, 1 = hole) the ``room`` nearest pixels.

    Nearest to where the segment begins: the stroke gets shorter and keeps a round end. ``begin`` is in sub-pixels.
    """
    rows, columns = np.nonzero(mask != before)
    distance = ((columns << _SUBPIXEL) - begin[0]) ** 2 + ((rows << _SUBPIXEL) - begin[1]) ** 2
    surplus = np.argsort(distance, kind="stable")[room:]
    mask[rows[surplus], columns[surplus]] = 0


@register_family("brush")
def draw_brush(size: int, count: int, rng: np.random.Generator, focus: Focus) -> Mask:
    """Brush strokes with turns, 9 to 21 % of the side wide; the last one ends where the area is reached."""
    mask = np.zeros((size, size), np.uint8)
    enough = count - 0.004 * size * size
    area, start = 0, None
    while True:
        vertices, widths = _strokes(rng, focus, start)
        corners = np.rint((vertices * size - 0.5) * 2**_SUBPIXEL).astype(np.int64).tolist()
        for corner, share in zip(corners, widths.tolist(), strict=True):
            if area >= enough:
                return mask
            for begin, end in pairwise(corner):
                before, hidden = mask.copy(), area
                cv2.line(mask, begin, end, 1, round(share * size), cv2.LINE_8, _SUBPIXEL)
                area = cv2.countNonZero(mask)
                if area >= count:
                    _keep_nearest(mask, before, begin, count - hidden)
                    return mask
        # a next dozen begins where nothing is hidden yet, so that every round hides more
        start = _known_point(mask, rng)


@register_family("boxes")
def draw_boxes(size: int, count: int, rng: np.random.Generator, focus: Focus) -> Mask:
    """Upright boxes with sides of 12 to 45 % of the image's; the last one is made shorter to meet the area."""
    mask = np.zeros((size, size), np.uint8)
    enough = count - 0.004 * size * size
    area, start = 0, None
    while True:
        numbers = rng.random((16, 4))
        centres = _move(numbers[:, :2], focus)
        if start is not None:
            centres[0] = start
        halves = (0.12 + 0.33 * numbers[:, 2:]) / 2
        for (x, y), (half_width, half_height) in zip(centres.tolist(), halves.tolist(), strict=True):
            if area >= enough:
                return mask
            # a box much larger than what is left would be cut to a sliver: make it smaller instead
            shrink = min(1.0, math.sqrt(1.3 * (count - area) / (4 * half_width * half_height * size * size)))
            box = mask[_span(y, half_height * shrink, size), _span(x, half_width * shrink, size)]
            added = box.size - cv2.countNonZero(box)
            if area + added > count:
                _fill_part(box, count - area)
                return mask
            box[:] = 1
            area += added
        start = _known_point(mask, rng)


def _span(middle: float, half: float, size: int) -> slice:
    """The pixels from ``middle`` - ``half`` to ``middle`` + ``half`` (shares of the side), at least one of them."""
    low = min(max(round((middle - half) * size), 0), size - 1)
    return slice(low, max(min(round((middle + half) * size), size), low + 1))


def _fill_part(box: Mask, room: int) -> None:
    """Fill ``box`` (1 = hole, changed in place) from one end of its longer side, adding ``room`` holes or nearly so.

    Whole lines only, so that the hole stays a box: the error is at most half its shorter side.
    """
    lines = box if box.shape[0] >= box.shape[1] else box.T
    filled = np.cumsum(lines.shape[1] - lines.sum(axis=1, dtype=np.int64))
    lines[: 1 + int(np.abs(filled - room).argmin())] = 1


@lru_cache(maxsize=64)
def _spline(size: int, cells: int) -> tuple[NDArray[np.intp], tuple[Field, ...]]:
    """Cubic B-spline from ``cells`` + 3 control points to ``size`` pixels: first index [size], four weights [size, 1].

    Multiplied and added by NumPy rather than resized by a library, so that every machine gets the same bits.
    """
    position = (np.arange(size) + 0.5) / size * cells
    first = np.floor(position).astype(np.intp)
    t = (position - first)[:, None]
    weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    return first, tuple(weight.astype(np.float32) for weight in weights)


def _smooth_noise(size: int, cells: int, rng: np.random.Generator) -> Field:
    """Float32 [size, size] in [0, 1]: random control points about size / cells pixels apart, smoothly joined."""
    first, weights = _spline(size, cells)
    field: Field = rng.random((cells + 3, cells + 3), dtype=np.float32)
    for _ in range(2):
        field = sum((weights[j] * field[first + j] for j in range(1, 4)), weights[0] * field[first]).T
    return field


@register_family("noise")
def draw_noise(size: int, count: int, rng: np.random.Generator, focus: Focus) -> Mask:
    """Blobs: smooth noise, three to eight cells a side, cut at the ``count``-th pixel. The area is exact."""
    field = _smooth_noise(size, int(rng.integers(3, 9)), rng)
    pull = {"anywhere": 0.0, "centre": 0.3, "edges": -0.3}[focus]
    return _cut(field + np.float32(pull) * _border_nearness(size) if pull else field, count)


@register_family("scatter")
def draw_scatter(size: int, count: int, rng: np.random.Generator, focus: Focus) -> Mask:
    """Many small square holes, 3 to 5 % of the side wide (2 or 3 pixels at 64), at random places.

    Every pixel gets a rank; the lowest ranks are the holes' corners. A minimum filter gives each pixel the lowest
    rank that would cover it, and the cut at the ``count``-th then is a whole number of holes.
    """
    rank = rng.random((size, size), dtype=np.float32)
    pull = {"anywhere": 0.0, "centre": 4.0, "edges": -4.0}[focus]
    if pull:
        rank *= np.exp(np.float32(pull) * _border_nearness(size))
    side = round(size * (0.03 + 0.02 * rng.random()))
    return _cut(cv2.erode(rank, np.ones((side, side), np.uint8)), count)


def _wave(position: Field) -> Field:
    """A triangle wave of period 1, in [-1, 1]."""
    return 4 * np.abs(position % 1 - 0.5) - 1


@register_family("held_out", trained=False)
def draw_held_out(size: int, count: int, rng: np.random.Generator, focus: Focus) -> Mask:
    """Half-planes at a random angle, or a regular grid (bars, mesh or checks). Never trained on; the area is exact.

    It has no preferred place: a focus other than "anywhere" raises ValueError.
    """
    if focus != "anywhere":
        raise ValueError(f"the family held_out covers the whole image: focus {focus!r} has no meaning for it")
    angle, period, phase, phase_across = rng.random(4) * (2 * np.pi, 0.2, 1, 1) + (0, 0.15, 0, 0)
    axis = (np.arange(size) + 0.5) / size - 0.5
    along = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    if rng.random() < 0.5:
        return _cut(along, count)
    across = np.cos(angle) * axis[:, None] - np.sin(angle) * axis[None, :]
    bars, bars_across = _wave(along / period + phase), _wave(across / period + phase_across)
    grids = (bars, np.minimum(bars, bars_across), bars * bars_across)
    return _cut(grids[int(rng.integers(3))], count)


TRAINING_FAMILIES: tuple[str, ...] = tuple(name for name, family in FAMILIES.items() if family.trained)
EVALUATION_FAMILIES: tuple[str, ...] = tuple(FAMILIES)


# ----------------------------------------------------------------------------------------------------- face features

_POINTS: dict[str, tuple[int, ...]] = {
    "left_brow": tuple(range(17, 22)),
    "right_brow": tuple(range(22, 27)),
    "left_eye": tuple(range(36, 42)),
    "right_eye": tuple(range(42, 48)),
    "nose": (27, 31, 35),
    "mouth": tuple(range(48, 68)),
    "jaw": tuple(range(4, 13)),
}
FEATURE_PARTS: tuple[str, ...] = (*_POINTS, "all")
"""Parts of the face that can be hidden; left and right are the image's. They cover 1 to 20 % of an aligned face, so
they have no level, and results are reported per part."""


def draw_feature_mask(part: str, landmarks: NDArray[np.floating], size: int) -> NDArray[np.uint8]:
    """A mask uint8 [size, size], 1 = hole, that hides one of ``FEATURE_PARTS``.

    ``landmarks`` [68, 2] are the iBUG 300-W points in pixels of the image, (0, 0) being its corner. The nose is a
    triangle, every other part the box around its points, both a little larger than their points. What lies outside
    the image is cut off. Raises FaceReconError for an unknown part, ValueError for landmarks of another shape, not
    finite, or with no pixel of the part inside the image.
    """
    if part not in FEATURE_PARTS:
        raise FaceReconError(f"face feature {part!r} is not one of {', '.join(FEATURE_PARTS)}")
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks must be 68 finite points [68, 2], not {points.shape}")
    mask = np.zeros((size, size), np.uint8)
    # the distance between the eyes' outer corners is the yardstick: it does not change with the expression
    margin = 0.06 * float(np.linalg.norm(points[45] - points[36]))
    for name in _POINTS if part == "all" else (part,):
        _hide_part(mask, name, points[list(_POINTS[name])], margin)
    if not mask.any():
        raise ValueError(f"the face feature {part!r} lies outside the image of {size} pixels")
    return mask


def _hide_part(mask: Mask, part: str, points: Field, margin: float) -> None:
    """Mark one part (its points [K, 2] in pixels) as a hole, changing ``mask`` in place (1 = hole)."""
    size = mask.shape[0]
    if part == "nose":
        outward = points - points.mean(axis=0)
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
        # drawn around the pixel's centre, which lies half a pixel from its corner; clipped: OpenCV takes 16-bit shapes
        triangle = np.clip(points + outward * 2 * margin - 0.5, -size, 2 * size)
        cv2.fillConvexPoly(mask, np.rint(triangle * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        return
    left, top = np.clip(np.floor(points.min(axis=0) - margin), 0, size).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0) + margin), 0, size).astype(int)
    mask[top:bottom, left:right] = 1


# --------------------------------------------------------------------------------------------------- labelled parts

PART_GROUPS: dict[str, tuple[str, ...]] = {
    "hair": ("hair", "hat"),
    "eyes": ("eye_g", "l_eye", "r_eye", "l_brow", "r_brow"),
    "nose": ("nose",),
    "mouth": ("mouth", "u_lip", "l_lip"),
    "skin": ("skin",),
}
"""What is hidden together of a face whose parts are labelled."""


def draw_part_mask(group: str, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask uint8 [size, size], 1 = hole, that hides one of ``PART_GROUPS`` of a face with ``labels`` [size, size].

    It is a little larger than the parts, whose edges would show what they are. Raises FaceReconError for an unknown
    group, ValueError where the face shows none of its parts.
    """
    if group not in PART_GROUPS:
        raise FaceReconError(f"parts {group!r} are not one of {', '.join(PART_GROUPS)}")
    inside = np.isin(labels, [PART_LABELS.index(name) + 1 for name in PART_GROUPS[group]]).view(np.uint8)
    if not inside.any():
        raise ValueError(f"the face shows no {group}")
    reach = 2 * max(1, round(labels.shape[0] / 64)) + 1
    return cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))).astype(np.uint8, copy=False)
