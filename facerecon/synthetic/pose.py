"""The head in the world, and the camera that looks at it. World space: cm, x right, y up, z towards the camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerecon.synthetic.mesh import CanonicalMesh
from facerecon.synthetic.people import Identity, Scene
from facerecon.synthetic.raster import Floats, vector

PIVOT = np.array([0.0, -3.0, -5.0], dtype=np.float32)
"""Where the head turns on the neck."""
LOOK_AT = np.array([0.0, 1.6, 0.0], dtype=np.float32)
"""What stands in the image's middle, before the camera's shift."""


@dataclass(frozen=True, eq=False)
class Body:
    """The posed head: ``head`` [V, 3] in its own frame, ``world`` [V, 3] posed, ``turn`` [3, 3] the head's rotation."""

    head: Floats
    world: Floats
    turn: Floats


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera that looks along -z: ``eye`` [3] in world space, ``focal`` and ``size`` in pixels."""

    eye: Floats
    focal: float
    size: int

    def project(self, world: Floats) -> tuple[Floats, Floats]:
        """Pixels [..., 2] and depth [...] in cm of points [..., 3]."""
        relative = world - self.eye
        depth = -relative[..., 2]
        flat = relative[..., :2] * (self.focal / depth)[..., None]
        return (flat * np.array([1, -1], dtype=np.float32) + self.size / 2).astype(np.float32), depth.astype(np.float32)

    def rays(self, pixel: NDArray[np.int64]) -> Floats:
        """Directions [N, 3] through pixels' centres, with z = -1: the eye plus depth times these is the place."""
        x = (pixel % self.size + 0.5 - self.size / 2) / self.focal
        y = -(pixel // self.size + 0.5 - self.size / 2) / self.focal
        return np.stack([x, y, np.full(len(pixel), -1.0)], axis=1).astype(np.float32)


def pose(mesh: CanonicalMesh, identity: Identity, scene: Scene) -> Body:
    """The person's shape with the scene's expression and pose."""
    head = mesh.rest + np.tensordot(vector(identity.shape), mesh.shapes, 1)
    head += np.tensordot(vector(identity.field), mesh.field, 1)
    head += np.tensordot(vector(scene.expression), mesh.expressions, 1)
    turn = rotation(scene.yaw, scene.pitch, scene.roll)
    torso = rotation(0.25 * scene.yaw, 0.0, 0.0)
    turned, standing = (head - PIVOT) @ turn.T + PIVOT, (head - PIVOT) @ torso.T + PIVOT
    rigid = mesh.rigid[:, None]
    return Body(head, turned * rigid + standing * (1 - rigid), turn)


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """The rotation [3, 3] for angles in degrees: yaw first, then pitch, then roll."""
    a, b, c = np.deg2rad([yaw, -pitch, -roll])
    around_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return (around_z @ around_x @ around_y).astype(np.float32)


def view_of(scene: Scene, size: int) -> View:
    """The camera of ``scene`` for an image of ``size`` pixels."""
    camera = scene.camera
    eye = LOOK_AT + np.array([*camera.shift, camera.distance], dtype=np.float32)
    return View(eye, size * camera.distance / camera.span, size)
