"""Pictures of a fitted face: from three sides, and over its photograph."""

import math

import numpy as np
from numpy.typing import NDArray

from facerecon.morphable.fit import Camera
from facerecon.synthetic.mesh import vertex_normals
from facerecon.synthetic.raster import rasterise

Picture = NDArray[np.uint8]

SIDES = {"front": 0.0, "half profile": 45.0, "profile": 90.0}
"""The views by name: by so many degrees the face is turned towards the image's right."""

SPAN = 220.0
"""A view shows so many mm."""

PAPER, SKIN = 255.0, np.array([226.0, 204.0, 186.0])
"""Gray level round a face, and colour of one in full light, RGB."""

_LIGHT = np.array([0.36, 0.48, 0.8])
"""The direction to the light; in profile it falls on what is seen."""
_AMBIENT = 0.4

_FAR = 1e4
"""Views are drawn as from so many mm: without perspective, to the eye."""


def three_views(shape: NDArray[np.floating], triangles: NDArray[np.int64], size: int) -> Picture:
    """A face ``shape`` [468, 3] in mm in the head's own frame (``Fit.shape``) from the SIDES, shaded: uint8 RGB
    [size, 3 * size, 3]."""
    centred = shape - (shape.max(axis=0) + shape.min(axis=0)) / 2
    camera = Camera(_FAR * size / SPAN, (size / 2, size / 2))
    views = []
    for degrees in SIDES.values():
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        paper = np.full((size, size, 3), PAPER)
        views.append(_drawn(paper, centred @ turn.T - [0, 0, _FAR], camera, triangles, 1.0))
    return np.hstack(views)


def overlaid(
    image: Picture, vertices: NDArray[np.floating], camera: Camera, triangles: NDArray[np.int64], opacity: float = 0.7
) -> Picture:
    """A photograph uint8 [H, W, 3] with the face ``vertices`` [468, 3] (``Fit.vertices``) over it, shaded."""
    return _drawn(image.astype(np.float64), vertices, camera, triangles, opacity)


def _drawn(
    canvas: NDArray[np.float64],
    vertices: NDArray[np.floating],
    camera: Camera,
    triangles: NDArray[np.int64],
    opacity: float,
) -> Picture:
    height, width = canvas.shape[:2]
    size = max(height, width)
    fragments = rasterise(camera.project(vertices), -vertices[:, 2], triangles, size)
    row, column = np.divmod(fragments.pixel, size)
    normals = fragments.interpolate(vertex_normals(vertices, triangles), triangles)
    facing = np.clip(normals @ _LIGHT / np.maximum(np.linalg.norm(normals, axis=1), 1e-9), 0, 1)
    shade = (_AMBIENT + (1 - _AMBIENT) * facing)[:, None] * SKIN
    seen = (row < height) & (column < width)
    row, column = row[seen], column[seen]
    canvas[row, column] += opacity * (shade[seen] - canvas[row, column])
    return np.rint(canvas).clip(0, 255).astype(np.uint8)
