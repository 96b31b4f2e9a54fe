"""The definitions of the figures."""

from dataclasses import replace

import numpy as np
import pytest

from facerecon.data.manifest import Manifest
from facerecon.evaluation.keys import MetricKey
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.evaluator import Found, Measured, depth_rmse, figures, is_near, measure, measured_faces
from facerecon.tasks.landmarks.gate_settings import ALL


@pytest.fixture(scope="module")
def measured(faces: Manifest, cases: LandmarkCases) -> Measured:
    (found,) = measured_faces(faces, cases, "test", 10)
    return found


def perfect(measured: Measured) -> Found:
    depth = np.stack([target.depth for target in measured.targets])
    return Found(measured.points, depth, np.ones((len(measured), 68), np.float32))


def test_what_is_right_has_no_error(measured: Measured) -> None:
    assert measured.exact
    assert len(measured) == 4
    found = figures(perfect(measured), measured)
    for values in found.values():
        np.testing.assert_allclose(values, 0, atol=1e-5)
    assert set(found) == {"nme", "nme_3d", "failure", "depth_rmse"}


def test_nme_is_the_mean_distance_over_the_box(measured: Measured) -> None:
    moved = perfect(measured)
    points = moved.points + np.array([3, 4, 0], np.float32)
    boxes = np.array([target.box for target in measured.targets])
    found = figures(moved._replace(points=points), measured)
    np.testing.assert_allclose(found["nme"], 100 * 5 / boxes, rtol=1e-4)
    np.testing.assert_allclose(found["nme_3d"], found["nme"], rtol=1e-4)
    deep = figures(moved._replace(points=moved.points + np.array([0, 0, 5], np.float32)), measured)
    np.testing.assert_allclose(deep["nme"], 0, atol=1e-5)
    np.testing.assert_allclose(deep["nme_3d"], 100 * 5 / boxes, rtol=1e-4)


def test_above_ten_per_cent_a_face_has_failed(measured: Measured) -> None:
    box = measured.targets[0].box
    right = perfect(measured)
    for share, failed in ((0.099, 0.0), (0.101, 100.0)):
        points = right.points + np.array([share * box, 0, 0], np.float32)
        assert figures(right._replace(points=points), measured)["failure"][0] == failed


def test_who_is_not_found_has_failed_and_no_other_figure(measured: Measured, cases: LandmarkCases) -> None:
    points = measured.points.copy()
    points[1] = np.nan

    def find(images: np.ndarray) -> Found:
        return Found(points)

    scores = measure("test", {"blind": find}, measured, cases)
    for case in (*cases.presets, ALL):
        assert scores.values(MetricKey("test", "failure", case), "blind").tolist() == [0, 100, 0, 0]
        assert len(scores.values(MetricKey("test", "nme", case), "blind")) == 3


def test_depth_is_measured_after_scale_and_shift(measured: Measured) -> None:
    target = measured.targets[0]
    assert depth_rmse(3 * target.depth - 7, target) == pytest.approx(0, abs=1e-4)
    flat = depth_rmse(np.zeros_like(target.depth), target)
    true = target.depth[target.inside]
    assert flat == pytest.approx(true.std() * target.millimetres, rel=1e-4)
    assert 3 < flat < 40, "millimetres of a face"
    outside = np.where(target.inside, target.depth, 1e6)
    assert depth_rmse(outside, target) == pytest.approx(0, abs=1e-3), "what lies outside the face does not count"


def test_means_over_conditions_are_by_face(measured: Measured, cases: LandmarkCases) -> None:
    steps = iter((1.0, 2.0, 6.0))

    def find(images: np.ndarray) -> Found:
        return Found(measured.points + np.array([next(steps), 0, 0], np.float32))

    scores = measure("test", {"m": find}, measured, cases)
    boxes = np.array([target.box for target in measured.targets])
    np.testing.assert_allclose(scores.values(MetricKey("test", "nme", ALL), "m"), 100 * 3 / boxes, rtol=1e-4)


def test_near_is_within_five_per_cent(measured: Measured) -> None:
    box = measured.targets[0].box
    for share, near in ((0.049, True), (0.051, False)):
        points = measured.points + np.array([share * box, 0, 0], np.float32)
        assert is_near(Found(points), measured)[0].all() == near


def test_truths_of_two_kinds_are_measured_apart(faces: Manifest, without_truth: Manifest, cases: LandmarkCases) -> None:
    (exact,) = measured_faces(faces, cases, "test", 10)
    (taught,) = measured_faces(without_truth, cases, "test", 10)
    assert (exact.exact, taught.exact) == (True, False)
    assert exact.names == taught.names
    assert "depth_rmse" not in figures(perfect(replace(taught, targets=exact.targets)), taught)
