"""The shape in 3D of what methods find: measured in mm where it is known, and never where it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.data.manifest import Manifest
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.morphable.fit import assumed_camera
from facerecon.perception.landmarks import sixty_eight
from facerecon.randomness import generator
from facerecon.tasks.landmarks.baselines import MediaPipe
from facerecon.tasks.landmarks.cases import CasesPart, LandmarkCases, freeze
from facerecon.tasks.landmarks.details import MEDIAPIPE
from facerecon.tasks.landmarks.evaluator import Found, Measured, measured_faces
from facerecon.tasks.landmarks.shape import MEAN_FACE, MEDIAPIPE_FIT, Shapes, aligned, seen_of, vertex_error
from tests.facerecon.tasks.landmarks.conftest import settings_of

CLEAN, ALL = "clean", "all_conditions"


@pytest.fixture(scope="module")
def measured(faces: Manifest, cases: LandmarkCases) -> Measured:
    (found,) = measured_faces(faces, cases, "test", 100)
    return found


@pytest.fixture
def shapes(measured: Measured, faces: Manifest, cases: LandmarkCases) -> Shapes:
    return Shapes("test", measured, faces, cases)


def sure(points: np.ndarray) -> Found:
    return Found(points, confidence=np.ones(points.shape[:2], np.float32))


def mean(shapes: Shapes, method: str, case: str = CLEAN) -> float:
    return float(shapes.scores().values(MetricKey("test", "vertex_error", case), method).mean())


def test_the_true_vertices_lie_where_the_camera_saw_them(faces: Manifest) -> None:
    for _, row in faces.split("test").iterrows():
        seen, told = seen_of(faces, row), faces.aligned_faces.truth(row["face"], "vertices")
        assert seen is not None
        assert seen.vertices is not None
        np.testing.assert_allclose(seen.camera.project(seen.vertices), told[:, :2], atol=1e-3)
        np.testing.assert_allclose(-seen.vertices[:, 2], 10 * told[:, 2], atol=1e-3)
        np.testing.assert_array_equal(
            sixty_eight(told), faces.aligned_faces.truth(row["face"], "landmarks"), "the 68 are among them"
        )


def test_points_near_the_truth_give_a_face_nearer_than_the_mean_one(shapes: Shapes, measured: Measured) -> None:
    shapes.observe(CLEAN, MODEL, sure(measured.points))
    boxes = np.array([target.box for target in measured.targets])[:, None, None]
    noise = generator("shape").normal(size=measured.points.shape) * 0.1 * boxes
    shapes.observe("poor_light", MODEL, sure((measured.points + noise).astype(np.float32)))
    assert mean(shapes, MODEL) < 0.8 * mean(shapes, MEAN_FACE)
    assert mean(shapes, MODEL) < mean(shapes, MODEL, "poor_light")
    assert mean(shapes, MEAN_FACE) == mean(shapes, MEAN_FACE, "poor_light")
    both = (mean(shapes, MODEL) + mean(shapes, MODEL, "poor_light")) / 2
    assert mean(shapes, MODEL, ALL) == pytest.approx(both)
    told = shapes.told()
    assert [(row.case, row.faces, row.refused) for row in told.rows] == [
        (CLEAN, len(measured), 0),
        ("poor_light", len(measured), told.rows[1].refused),
    ]
    assert told.exact is not None
    assert told.exact < 0.6 * mean(shapes, MEAN_FACE)
    assert told.exact < mean(shapes, MODEL)
    near, far = (row.reprojection for row in told.rows)
    assert near is not None
    assert far is not None
    assert near < 2 < far, "per cent of the box"


def test_a_sample_lies_over_its_crop_and_beside_the_true_face(
    shapes: Shapes, measured: Measured, faces: Manifest
) -> None:
    for at, target in enumerate(measured.targets):
        sample = shapes.sample(at, sure(measured.points[at : at + 1]))
        away = np.linalg.norm(sixty_eight(sample["projected"]) - target.points[:, :2], axis=1)
        assert away.max() < 0.1 * target.box
        seen = seen_of(faces, measured.faces.rows.iloc[at])
        assert seen is not None
        assert seen.vertices is not None
        # where the camera saw it, not only in the same direction
        assert sample["vertices"][:, 2].mean() == pytest.approx(seen.vertices[:, 2].mean(), rel=0.15)
        assert float(sample["vertex_error"]) == pytest.approx(vertex_error(sample["shape"], seen.vertices), abs=1e-2)
        assert vertex_error(sample["true_shape"], seen.vertices) < 1e-2
        apart = np.linalg.norm(sample["true_shape"] - sample["shape"], axis=1).mean()
        assert apart == pytest.approx(float(sample["vertex_error"]), rel=0.2)


def test_what_is_no_face_is_refused_and_has_the_mean_faces_error(shapes: Shapes, measured: Measured) -> None:
    anywhere = generator("anywhere").uniform(0, 64, measured.points.shape).astype(np.float32)
    shapes.observe(CLEAN, MODEL, sure(anywhere))
    (row,) = shapes.told().rows
    assert row.refused == row.faces == len(measured)
    assert mean(shapes, MODEL) == pytest.approx(mean(shapes, MEAN_FACE), abs=1e-3)


def test_faces_that_are_not_found_have_no_error(shapes: Shapes, measured: Measured, cases: LandmarkCases) -> None:
    mediapipe = MediaPipe()
    found = mediapipe(cases.images(CLEAN, measured.names))
    mediapipe.close()
    assert found.mesh is not None
    found.mesh[0] = np.nan
    shapes.observe(CLEAN, MODEL, sure(measured.points))
    shapes.observe(CLEAN, MEDIAPIPE, found)
    for method in (MEDIAPIPE, MEDIAPIPE_FIT):
        key = MetricKey("test", "vertex_error", CLEAN)
        assert shapes.scores().faces(key, method) == measured.names[1:]
        assert 1 < mean(shapes, method) < 7, "mm"
    assert set(shapes.scores([MODEL]).methods(key)) == {MODEL}


def test_points_without_a_confidence_are_fitted_to_by_nobody(shapes: Shapes, measured: Measured) -> None:
    shapes.observe(CLEAN, "mean_shape", Found(measured.points))
    assert not shapes.scores().keys


def test_of_photographs_nothing_is_told_in_mm(without_truth: Manifest, tmp_path: Path) -> None:
    cases = freeze(CasesPart.model_validate(settings_of().values("degradations")), without_truth, tmp_path)
    (measured,) = measured_faces(without_truth, cases, "test", 100)
    shapes = Shapes("test", measured, without_truth, cases)
    shapes.observe(CLEAN, MODEL, sure(measured.points))
    assert not shapes.scores().keys
    told = shapes.told()
    assert told.exact is None
    assert told.rows[0].faces == len(measured)
    assert told.rows[0].reprojection is not None
    seen = seen_of(without_truth, measured.faces.rows.iloc[0])
    assert seen is not None
    assert seen.vertices is None
    assert seen.camera == assumed_camera(256, 256)
    sample = shapes.sample(0, sure(measured.points[:1]))
    assert np.isfinite(sample["shape"]).all()
    assert np.isnan(sample["true_shape"]).all()
    assert np.isnan(sample["vertex_error"])


def test_a_photograph_that_is_gone_is_passed_over(without_truth: Manifest, tmp_path: Path) -> None:
    cases = freeze(CasesPart.model_validate(settings_of().values("degradations")), without_truth, tmp_path)
    roots = {name: replace(root, root=str(tmp_path / "gone")) for name, root in without_truth.sources.items()}
    gone = replace(without_truth, sources=roots)
    (measured,) = measured_faces(gone, cases, "test", 100)
    shapes = Shapes("test", measured, gone, cases)
    shapes.observe(CLEAN, MODEL, sure(measured.points))
    (row,) = shapes.told().rows
    assert (row.faces, row.refused, row.reprojection) == (0, 0, None)
    assert np.isnan(shapes.sample(0, sure(measured.points[:1]))["projected"]).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_the_error_knows_no_pose_and_no_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    points, other = rng.normal(size=(2, 468, 3)) * 50
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved = scale * points @ turn.T + rng.normal(size=3) * 1000
    assert vertex_error(moved, points) < 1e-6
    assert vertex_error(moved, other) == pytest.approx(vertex_error(points, other))
    np.testing.assert_allclose(aligned(moved, points), points, atol=1e-6)
    assert vertex_error(points * [-1, 1, 1], points) > 1, "a mirrored face is another"
