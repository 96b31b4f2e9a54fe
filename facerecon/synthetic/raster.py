"""A z-buffer rasteriser for small triangle meshes, in whole-array numpy operations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fragments:
    """The nearest surface at each covered pixel.

    ``pixel`` [N] flat indices (row * width + column), ``triangle`` [N] indices of triangles, ``weights`` [N, 3]
    perspective-correct barycentric weights, ``depth`` [N] distance along the camera's axis, cm.
    """

    pixel: Integers
    triangle: Integers
    weights: Floats
    depth: Floats

    def interpolate(self, values: Floats, triangles: Integers) -> Floats:
        """Per-vertex ``values`` [V, D] at every fragment [N, D]."""
        corners = triangles[self.triangle]
        result = values[corners[:, 0]] * self.weights[:, :1]
        result += values[corners[:, 1]] * self.weights[:, 1:2]
        result += values[corners[:, 2]] * self.weights[:, 2:]
        return result


def rasterise(points: Floats, depth: Floats, triangles: Integers, size: int) -> Fragments:
    """Fragments of the triangles that face the camera in an image of ``size`` x ``size`` pixels.

    ``points`` [V, 2] are pixels (x right, y down; pixel centres at integers plus 0.5), ``depth`` [V] positive
    distances along the camera's axis. A triangle faces the camera if its corners run clockwise in the image as seen
    (y down), that is counter-clockwise with y up.
    """
    x, y = points[triangles.T].astype(np.float64).transpose(2, 0, 1)
    area = (x[2] - x[0]) * (y[1] - y[0]) - (x[1] - x[0]) * (y[2] - y[0])
    facing = np.flatnonzero(area > 1e-9)
    x, y, area = x[:, facing], y[:, facing], area[facing]
    # edge functions w = a x + b y + c, one [3, F] for the weight of each corner, positive inside
    following, last = [1, 2, 0], [2, 0, 1]
    a = (y[last] - y[following]) / area
    b = (x[following] - x[last]) / area
    c = (x[last] * y[following] - x[following] * y[last]) / area

    top = np.maximum(np.ceil(y.min(axis=0) - 0.5), 0).astype(np.int64)
    bottom = np.minimum(np.floor(y.max(axis=0) - 0.5), size - 1).astype(np.int64)
    which, row = _expand(top, bottom)
    at_row = b[:, which] * (row + 0.5) + c[:, which]
    left, right = _spans(a[:, which], at_row, size)
    span, column = _expand(left, right)
    which, row = which[span], row[span]

    inverse = 1.0 / depth[triangles[facing].T].astype(np.float64)
    weights = (a[:, which] * (column + 0.5) + at_row[:, span]) * inverse[:, which]
    nearness = weights[0] + weights[1] + weights[2]
    pixel = row * size + column
    buffer = np.zeros(size * size)
    np.maximum.at(buffer, pixel, nearness)
    # of two triangles at the same depth (a shared edge) the later in the mesh wins, always the same one
    winner = np.full(size * size, -1, dtype=np.int64)
    best = np.flatnonzero(nearness >= buffer[pixel])
    winner[pixel[best]] = best
    chosen = winner[winner >= 0]
    depth_there = 1.0 / nearness[chosen]
    return Fragments(
        pixel=pixel[chosen],
        triangle=facing[which[chosen]],
        weights=(weights[:, chosen] * depth_there).T.astype(np.float32),
        depth=depth_there.astype(np.float32),
    )


def _expand(first: Integers, last: Integers) -> tuple[Integers, Integers]:
    """For inclusive integer ranges: the range's number and the value, for every value of every range."""
    count = np.maximum(last - first + 1, 0)
    which = np.repeat(np.arange(len(first)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return which, np.arange(len(which)) - start + first[which]


def _spans(slope: NDArray[np.float64], offset: NDArray[np.float64], size: int) -> tuple[Integers, Integers]:
    """First and last pixel column where ``slope * x + offset >= 0`` for all three edges [3, M]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -offset / slope
    low = np.where(slope > 0, crossing, -np.inf).max(axis=0)
    high = np.where(slope < 0, crossing, np.inf).min(axis=0)
    left = np.clip(np.ceil(low - 0.5), 0, size)
    right = np.clip(np.floor(high - 0.5), -1, size - 1)
    right[((slope == 0) & (offset < 0)).any(axis=0)] = -1
    return left.astype(np.int64), right.astype(np.int64)


def sample(image: Floats, at: Floats, nearest: bool = False, outside: float | None = None) -> Floats:
    """Values of ``image`` [H, W] or [H, W, D] at positions [N, 2] (column, row; pixel centres at integers).

    Outside the image: the value ``outside``, or the nearest one inside if it is None.
    """
    # OpenCV's remap takes no side longer than 32,767: fold the list of positions into a rectangle
    columns = 1024
    rows = -(-len(at) // columns)
    folded = np.zeros((rows * columns, 2), dtype=np.float32)
    folded[: len(at)] = at
    found = cv2.remap(  # type: ignore[call-overload]  # OpenCV's stubs do not know that the second map may be None
        np.asarray(image, dtype=np.float32),
        folded.reshape(rows, columns, 2),
        None,
        cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
        borderValue=outside or 0.0,
    )
    return np.asarray(found, dtype=np.float32).reshape(rows * columns, *image.shape[2:])[: len(at)]


def dot(a: Floats, b: Floats) -> Floats:
    """Scalar products [...] of vectors [..., 3]."""
    return np.einsum("...i,...i->...", a, b)


def unit(vectors: Floats) -> Floats:
    """The same directions [..., 3] with length 1."""
    return vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-6)[..., None]


def vector(values: Sequence[float]) -> NDArray[np.float32]:
    """Numbers as a float32 array."""
    return np.array(values, dtype=np.float32)


def blur(image: Floats, sigma: float, sigma_y: float = 0.0) -> NDArray[np.float32]:
    """``image`` [H, W] or [H, W, D] blurred by a Gaussian; ``sigma_y`` 0 means the same in both directions."""
    return np.asarray(cv2.GaussianBlur(np.asarray(image, dtype=np.float32), (0, 0), sigma, None, sigma_y), np.float32)
