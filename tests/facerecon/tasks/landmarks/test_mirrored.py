"""On a mirrored face left and right points are swapped: those of the 68 points, and those of the whole mesh.

Nothing that the project ships mirrors a mesh: its table is read off the canonical one, which is symmetric.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.perception.landmarks import SIXTY_EIGHT, FaceLandmarker
from facerecon.synthetic import CanonicalMesh, Rendered, draw_identity, draw_scene, render
from facerecon.synthetic.mesh import read_canonical
from facerecon.tasks.landmarks.placement import MIRRORED, flipped

SIZE = 192
UNEVEN = 3
"""Of each four coefficients of the random field the last one is of the head's right side alone: the other side has no
mode for it."""


@pytest.fixture(scope="module")
def mirrored_mesh(landmark_model: Path) -> NDArray[np.int64]:
    """For each of the 468 vertices the one that stands in its place on a mirrored face."""
    points, _ = read_canonical(landmark_model)
    distances = np.linalg.norm(points[:, None] - points * np.array([-1, 1, 1]), axis=2)
    table = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-4, "the canonical mesh is symmetric"
    return np.asarray(table)


@pytest.fixture(scope="module", params=range(3))
def pair(request: pytest.FixtureRequest, landmark_model: Path) -> tuple[Rendered, Rendered]:
    """A drawn face, and the same head turned, leant and moved the other way."""
    mesh, who, scene = (
        CanonicalMesh.load(landmark_model),
        draw_identity(0, request.param),
        draw_scene(0, request.param, 0),
    )
    field = tuple(0.0 if place % 4 == UNEVEN else value for place, value in enumerate(who.field))
    camera = replace(scene.camera, shift=(-scene.camera.shift[0], scene.camera.shift[1]))
    other = replace(scene, yaw=-scene.yaw, roll=-scene.roll, camera=camera)
    first, second = (render(mesh, replace(who, field=field), each, SIZE) for each in (scene, other))
    return first, second


def test_both_tables_give_the_truth_of_the_mirrored_face(
    pair: tuple[Rendered, Rendered], mirrored_mesh: NDArray[np.int64]
) -> None:
    face, mirrored = pair
    for points, truth, table in (
        (face.landmarks68, mirrored.landmarks68, list(MIRRORED)),
        (face.landmarks, mirrored.landmarks, mirrored_mesh),
    ):
        swapped = points[table].copy()
        swapped[:, 0] = SIZE - swapped[:, 0]
        np.testing.assert_allclose(swapped, truth, atol=0.01)
        unswapped = points.copy()
        unswapped[:, 0] = SIZE - unswapped[:, 0]
        assert np.abs(unswapped - truth).max() > 20, "without the table it is not"
    np.testing.assert_allclose(flipped(face.landmarks68, SIZE), mirrored.landmarks68, atol=0.01)


def test_both_tables_lie_on_the_mirrored_picture(
    pair: tuple[Rendered, Rendered], mirrored_mesh: NDArray[np.int64], landmark_model: Path
) -> None:
    face, _ = pair
    with FaceLandmarker(landmark_model, most=1) as landmarker:
        [(seen, _)] = landmarker.detect(np.ascontiguousarray(face.image[:, ::-1]))
    swapped = face.landmarks[mirrored_mesh].copy()
    swapped[:, 0] = SIZE - swapped[:, 0]
    for points, found in ((swapped, seen[:468]), (flipped(face.landmarks68, SIZE), seen[list(SIXTY_EIGHT)])):
        distance = np.linalg.norm((points - found)[:, :2], axis=1)
        assert distance.mean() < 0.04 * np.sqrt(np.prod(np.ptp(points[:, :2], axis=0)))


def test_the_tables_agree_and_mirroring_twice_changes_nothing(mirrored_mesh: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(mirrored_mesh[mirrored_mesh], np.arange(468))
    chosen = np.array(SIXTY_EIGHT)
    np.testing.assert_array_equal(mirrored_mesh[chosen], chosen[list(MIRRORED)])
