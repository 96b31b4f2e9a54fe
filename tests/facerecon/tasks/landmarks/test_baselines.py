"""What a model must beat: fitted to training crops, and blind where it should be."""

import numpy as np
import pytest

from facerecon.data.manifest import Manifest
from facerecon.tasks.landmarks.baselines import HogRidge, MeanShape, MediaPipe, PlacedMeanDepth
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.dataset import Samples, samples
from facerecon.tasks.landmarks.evaluator import Found, Measured, figures, measured_faces
from tests.facerecon.tasks.landmarks.test_training import training_faces


@pytest.fixture(scope="module")
def seen(faces: Manifest) -> Samples:
    return samples(training_faces(faces), 64)


@pytest.fixture(scope="module")
def measured(faces: Manifest, cases: LandmarkCases) -> Measured:
    (found,) = measured_faces(faces, cases, "test", 10)
    return found


def test_the_mean_shape_sees_nothing(seen: Samples) -> None:
    find = MeanShape(seen)
    black, white = (find(np.full((2, 64, 64, 3), value, np.uint8)) for value in (0, 255))
    np.testing.assert_array_equal(black.points, white.points)
    np.testing.assert_allclose(black.points[0], seen.points.mean(axis=0))


def test_regression_knows_what_it_was_fitted_to(seen: Samples) -> None:
    found = HogRidge(seen)(seen.images).points
    assert found is not None
    error = np.abs(found - seen.points)[..., :2].mean()
    assert error < 0.5 * np.abs(seen.points.mean(axis=0) - seen.points)[..., :2].mean()


def test_depth_that_is_placed_is_better_than_depth_that_is_not(
    seen: Samples, measured: Measured, cases: LandmarkCases
) -> None:
    images = cases.images("clean", measured.names)
    placed = PlacedMeanDepth(seen, lambda given: Found(measured.points))(images)
    assert placed.points is None
    figure = figures(placed, measured)
    assert set(figure) == {"depth_rmse"}
    assert figure["depth_rmse"].mean() < 0.8 * figures(MeanShape(seen)(images), measured)["depth_rmse"].mean()


def test_mediapipe_gives_points_and_the_depth_of_its_mesh_or_nothing(measured: Measured, cases: LandmarkCases) -> None:
    find = MediaPipe()
    try:
        clean = find(cases.images("clean", measured.names))
        nothing = find(np.zeros((1, 64, 64, 3), np.uint8))
    finally:
        find.close()
    figure = figures(clean, measured)
    assert figure["nme"].max() < 6
    assert figure["depth_rmse"].max() < 12
    assert clean.depth is not None
    assert np.isfinite(clean.depth).all(), "beside the mesh it is that of the closest place on it"
    assert nothing.points is not None
    assert np.isnan(nothing.points).all()
