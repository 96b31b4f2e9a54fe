"""Crops for this task: cut from the photograph about the face's box, shifted, turned and scaled at random.

A crop that is aligned by the very points that are sought gives them away, and so does one with a mirrored or padded
border: a placement that leaves the photograph is drawn again, and a face that leaves no room is left out.
"""

import numpy as np

from facerecon.data.geometry import AROUND, Square, box_of, turned_square
from facerecon.perception.landmarks import Points
from facerecon.tasks.landmarks.training_settings import PlacementSettings

TRIES = 20
"""So often a placement is drawn before a face is left out."""

LEAST_BESIDE, MOST_OF_FACE = 0.25, 0.1
"""The least side of a crop without a face, as a share of that about one, and how much of it may lie in the box of a
face's points."""

_GRID = ((np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(-1, 2) + 0.5) / 10).astype(np.float32)
"""Places [100, 2] spread evenly over a square."""

MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""For each of the 68 points the one that stands in its place on a mirrored face."""


def place(
    points: Points, size: tuple[int, int], settings: PlacementSettings, rng: np.random.Generator
) -> Square | None:
    """A crop about a face with these ``points`` [68, >=2], inside a photograph of ``size`` height, width.

    None where none of TRIES lies inside. The count of numbers that ``rng`` gives depends on nothing.
    """
    middle, area = box_of(points)
    draws = rng.random((TRIES, 4))
    for x, y, turn, scale in draws.tolist():
        side = AROUND * area * (settings.scale[0] + scale * (settings.scale[1] - settings.scale[0]))
        angle = np.deg2rad((2 * turn - 1) * settings.rotation)
        shift = (2 * np.array([x, y]) - 1) * settings.shift * side
        found = turned_square(middle + shift, side, angle)
        if inside(found, size):
            return found
    return None


def beside(points: Points, size: tuple[int, int], rng: np.random.Generator) -> Square | None:
    """A crop without the face with these ``points`` [68, >=2], inside a photograph of ``size`` height, width: at most
    MOST_OF_FACE of it lies in their box.

    None where none of TRIES is such. The count of numbers that ``rng`` gives depends on nothing.
    """
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    for x, y, turn, scale in rng.random((TRIES, 4)).tolist():
        side = max(1.0, AROUND * box_of(points)[1] * (LEAST_BESIDE + scale * (1 - LEAST_BESIDE)))
        found = turned_square(np.array([x * size[1], y * size[0]]), side, np.deg2rad(90 * turn - 45))
        places = found.from_crop(_GRID, 1)
        if inside(found, size) and ((places >= low) & (places <= high)).all(axis=1).mean() <= MOST_OF_FACE:
            return found
    return None


def closest(points: Points, size: tuple[int, int]) -> Square:
    """The unturned crop about the points' middle, as large as it may be inside a photograph of ``size``, or as is
    usual."""
    middle, area = box_of(points)
    room = min(*middle.tolist(), size[1] - float(middle[0]), size[0] - float(middle[1]))
    return turned_square(middle, max(1.0, min(AROUND * area, 2 * room)))


def inside(found: Square, size: tuple[int, int]) -> bool:
    """Whether a square lies in a photograph of ``size`` height, width."""
    corners = found.corners
    return bool((corners >= 0).all() and (corners[:, 0] <= size[1]).all() and (corners[:, 1] <= size[0]).all())


def flipped(points: Points, size: int) -> Points:
    """Points [68, 3] of a crop of ``size`` pixels when it is mirrored."""
    turned = points[list(MIRRORED)].copy()
    turned[:, 0] = size - turned[:, 0]
    return turned
