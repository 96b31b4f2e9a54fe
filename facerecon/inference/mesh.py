"""Points and depth of MediaPipe's mesh, in the form in which a network's are told."""

import numpy as np

from facerecon.data.geometry import Square
from facerecon.inference.frames import MESH, Depth, Face
from facerecon.perception.landmarks import Points, sixty_eight, towards_camera
from facerecon.synthetic.surface import mesh_surface

SIDE = 64
"""The depth has so many values along a side."""


def mesh_points(face: Face) -> Points | None:
    """The 68 points as ``POINTS3D`` of a face; None where MediaPipe found none."""
    return sixty_eight(towards_camera(face[MESH])) if MESH in face else None


def mesh_depth(face: Face) -> Depth | None:
    """The depth of the mesh's surface, where it is seen; None where MediaPipe found none."""
    if MESH not in face:
        return None
    mesh = towards_camera(face[MESH])
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    side = float((high - low).max())
    square = Square((low + high - side) / 2, np.array([side, 0], np.float32))
    return Depth(square, mesh_surface(np.column_stack([square.to_crop(mesh, SIDE), mesh[:, 2]]), SIDE))
