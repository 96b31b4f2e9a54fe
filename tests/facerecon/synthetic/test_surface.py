"""Of a face's surface that is seen which is nearest, and beside it nothing is."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.perception.landmarks import sixty_eight
from facerecon.synthetic.mesh import read_canonical
from facerecon.synthetic.surface import mesh_surface, sixty_eight_surface
from facerecon.weights import weights_path

SIZE = 48


@pytest.fixture(scope="module")
def canonical() -> tuple[np.ndarray, np.ndarray]:
    return read_canonical(Path(weights_path("face_landmarker")))


def seen(face: np.ndarray, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """The canonical face, turned, in pixels of an image of SIZE, z towards the camera in pixels."""
    about_y, about_x = math.radians(yaw), math.radians(pitch)
    turn = np.array([[math.cos(about_y), 0, math.sin(about_y)], [0, 1, 0], [-math.sin(about_y), 0, math.cos(about_y)]])
    lean = np.array([[1, 0, 0], [0, math.cos(about_x), -math.sin(about_x)], [0, math.sin(about_x), math.cos(about_x)]])
    return (face @ (lean @ turn).T * [2, -2, 2] + [SIZE / 2, SIZE / 2, 0]).astype(np.float32)


def nearest(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The largest z of all triangles at each pixel's middle, those that show their back included."""
    middles = np.arange(SIZE) + 0.5
    x, y = np.meshgrid(middles, middles)
    a, b, c = points[triangles].astype(np.float64).transpose(1, 2, 0)[..., None, None]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
    second = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
    third = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
    inside = (second >= 0) & (third >= 0) & (second + third <= 1)
    z = np.where(inside, (1 - second - third) * a[2] + second * b[2] + third * c[2], -np.inf).max(axis=0)
    return np.where(np.isfinite(z), z, np.nan)


@given(yaw=st.floats(-50, 50), pitch=st.floats(-25, 25))
def test_of_all_triangles_the_nearest_is_seen(
    canonical: tuple[np.ndarray, np.ndarray], yaw: float, pitch: float
) -> None:
    face, triangles = canonical
    points = seen(face, yaw, pitch)
    found, expected = mesh_surface(points, SIZE), nearest(points, triangles)
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.sum() > 0.97 * np.isfinite(expected).sum()
    assert np.isfinite(found).sum() == both.sum()
    assert np.quantile(np.abs(found - expected)[both], 0.99) < 0.05, "but for pixels whose middle lies on an edge"


@pytest.mark.parametrize("yaw", [-40, 40])
def test_what_the_nose_hides_is_not_seen(canonical: tuple[np.ndarray, np.ndarray], yaw: float) -> None:
    face, _ = canonical
    points = seen(face, yaw)
    found = mesh_surface(points, SIZE)
    column, row = np.floor(points[:, :2]).astype(int).T
    behind = found[row, column] - points[:, 2]
    assert np.nanmax(behind) > 3, "some of the points lie behind others"
    assert (behind < -1.5).mean() < 0.06, "and none before what is seen, but at the rim of the nose"


@pytest.mark.parametrize("yaw", [-40, 0, 40])
def test_between_68_points_it_goes_through_those_that_are_seen(
    canonical: tuple[np.ndarray, np.ndarray], yaw: float
) -> None:
    face, _ = canonical
    points = sixty_eight(seen(face, yaw))
    found = sixty_eight_surface(points, SIZE)
    column, row = np.floor(points[27:, :2]).astype(int).T
    apart = found[row, column] - points[27:, 2]
    assert (np.abs(apart) < 1.5).mean() > 0.8, "of nose, eyes and lips most are seen"
    assert (apart < -1.5).mean() < 0.1, "and none lies before it, but at the rim of the nose"
    assert np.isnan(found[0, 0])


def test_points_may_leave_the_image(canonical: tuple[np.ndarray, np.ndarray]) -> None:
    face, _ = canonical
    points = seen(face, 0)
    moved = mesh_surface(points - np.array([20, 0, 0], np.float32), SIZE)
    np.testing.assert_allclose(moved[:, : SIZE - 20], mesh_surface(points, SIZE)[:, 20:], atol=1e-3)
