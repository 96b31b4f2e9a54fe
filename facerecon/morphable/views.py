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

PAPER, SKIN = 255, np.array([226.0, 204.0, 186.0])
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
        turned = centred @ turn.T - [0, 0, _FAR]
        views.append(
            overlaid(np.full((size, size, 3), PAPER, np.uint8), camera.project(turned), turned, triangles, 1.0)
        )
    return np.hstack(views)


def overlaid(
    image: Picture,
    projected: NDArray[np.floating],
    vertices: NDArray[np.floating],
    triangles: NDArray[np.int64],
    opacity: float = 0.75,
) -> Picture:
    """An image uint8 [H, W, 3] with a face over it, shaded: ``projected`` [468, 2] are its pixels in this image, and
    ``vertices`` [468, 3] where it is before the camera (``Fit.projected``, ``Fit.vertices``)."""
    height, width = image.shape[:2]
    size = max(height, width)
    fragments = rasterise(projected, -vertices[:, 2], triangles, size)
    normals = fragments.interpolate(vertex_normals(vertices, triangles), triangles)
    facing = np.clip(normals @ _LIGHT / np.maximum(np.linalg.norm(normals, axis=1), 1e-9), 0, 1)
    shade = (_AMBIENT + (1 - _AMBIENT) * facing)[:, None] * SKIN
    row, column = np.divmod(fragments.pixel, size)
    seen = (row < height) & (column < width)
    row, column = row[seen], column[seen]
    shown = image.copy()
    mixed = (1 - opacity) * image[row, column] + opacity * shade[seen]
    shown[row, column] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return shown
