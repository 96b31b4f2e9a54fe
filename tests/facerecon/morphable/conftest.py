"""The morphable model, and drawn faces as a camera sees them, without their pictures."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.morphable.fit import Camera
from facerecon.morphable.model import MorphableModel, load
from facerecon.perception.landmarks import sixty_eight
from facerecon.synthetic import CanonicalMesh, draw_identity, draw_scene
from facerecon.synthetic.mesh import FACE_POINTS
from facerecon.synthetic.pose import pose, view_of
from facerecon.weights import weights_path

SIZE = 320


@dataclass(frozen=True)
class Drawn:
    """A face: ``points`` [68, 2] in pixels, ``vertices`` [468, 3] in mm before the ``camera``."""

    points: NDArray[np.float32]
    vertices: NDArray[np.float32]
    camera: Camera

    @property
    def box(self) -> float:
        """The square root of the area of the points' box."""
        return float(np.sqrt(np.prod(np.ptp(self.points, axis=0))))


@pytest.fixture(scope="session")
def model() -> MorphableModel:
    return load()


@pytest.fixture(scope="session")
def drawn_faces() -> list[Drawn]:
    """Forty people of the data sets' world, one photograph each."""
    mesh, found = CanonicalMesh.load(weights_path("face_landmarker")), []
    for number in range(40):
        scene = draw_scene(0, number, 0)
        view = view_of(scene, SIZE)
        world = pose(mesh, draw_identity(0, number), scene).world[:FACE_POINTS]
        points, _ = view.project(world)
        camera = Camera(view.focal, (SIZE / 2, SIZE / 2))
        found.append(Drawn(sixty_eight(points), 10 * (world - view.eye), camera))
    return found
