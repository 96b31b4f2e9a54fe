"""Fitting a face to 68 points: how near it comes, what it refuses, and that nothing is lost on the way."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.errors import FaceReconError
from facerecon.morphable.fit import EXACT_NOISE, Camera, Fit, assumed_camera, fit
from facerecon.morphable.model import MorphableModel
from facerecon.perception.landmarks import sixty_eight
from facerecon.randomness import generator
from facerecon.tasks.landmarks.shape import vertex_error
from tests.facerecon.morphable.conftest import SIZE, Drawn

Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]

EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def errors(model: MorphableModel, faces: list[Drawn], fits: list[Fit]) -> tuple[float, float]:
    """The mean vertex error of fits and of the mean face, mm."""
    fitted = [vertex_error(each.vertices, face.vertices) for each, face in zip(fits, faces, strict=True)]
    return float(np.mean(fitted)), float(np.mean([vertex_error(10 * model.mean, face.vertices) for face in faces]))


def test_from_exact_points_it_halves_the_mean_faces_error(model: MorphableModel, drawn_faces: list[Drawn]) -> None:
    fits = [fit(model, face.points, face.camera, noise=EXACT_NOISE) for face in drawn_faces]
    assert not [each.refused for each in fits if each.refused]
    ours, usual = errors(model, drawn_faces, fits)
    assert ours <= 0.5 * usual
    assert max(each.reprojection / face.box for each, face in zip(fits, drawn_faces, strict=True)) < 0.01


def test_from_points_with_noise_it_is_nearer_than_the_mean_face(
    model: MorphableModel, drawn_faces: list[Drawn]
) -> None:
    rng = generator("noisy points")
    noisy = [face.points + rng.normal(size=(68, 2)) * 0.025 * face.box for face in drawn_faces]
    fits = [fit(model, points, face.camera) for points, face in zip(noisy, drawn_faces, strict=True)]
    assert not [each.refused for each in fits if each.refused]
    ours, usual = errors(model, drawn_faces, fits)
    assert ours <= 0.85 * usual


def test_what_it_gives_belongs_together(model: MorphableModel, drawn_faces: list[Drawn]) -> None:
    face = drawn_faces[0]
    found = fit(model, face.points, face.camera)
    np.testing.assert_allclose(face.camera.project(found.vertices), found.projected, atol=1e-3)
    missed = np.linalg.norm(sixty_eight(found.projected) - face.points, axis=1)
    assert found.reprojection == pytest.approx(np.sqrt((missed**2).mean()), rel=1e-3)
    np.testing.assert_allclose(found.shape, 10 * model.shape(found.identity, found.expression), atol=1e-3)
    assert vertex_error(found.vertices, found.shape) < 1e-2, "the same face, posed"
    # as far from the camera, and as large, as the true one, within a tenth
    assert found.vertices[:, 2].mean() == pytest.approx(face.vertices[:, 2].mean(), rel=0.1)
    assert found.vertices.dtype == found.shape.dtype == found.projected.dtype == np.float32


@EXAMPLES
@given(angle=st.floats(-math.pi, math.pi), scale=st.floats(0.2, 4))
def test_turning_and_enlarging_the_photograph_changes_no_shape(
    model: MorphableModel, drawn_faces: list[Drawn], angle: float, scale: float
) -> None:
    face = drawn_faces[1]
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array(face.camera.centre)
    # the box of a turned face is another: the noise is given as a share of it
    turned = (face.points - middle) @ turn.T + middle * scale
    box = float(np.sqrt(np.prod(np.ptp(turned, axis=0))))
    before = fit(model, face.points, face.camera, noise=0.02)
    camera = Camera(face.camera.focal * scale, (middle[0] * scale, middle[1] * scale))
    after = fit(model, turned, camera, noise=0.02 * face.box * scale / box)
    np.testing.assert_allclose(after.identity, before.identity, atol=0.02)
    np.testing.assert_allclose(after.shape, before.shape, atol=0.2)


@EXAMPLES
@given(x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_where_the_camera_counts_from_changes_nothing(
    model: MorphableModel, drawn_faces: list[Drawn], x: float, y: float
) -> None:
    face = drawn_faces[2]
    before = fit(model, face.points, face.camera)
    moved = Camera(face.camera.focal, (face.camera.centre[0] + x, face.camera.centre[1] + y))
    after = fit(model, face.points + np.array([x, y]), moved)
    np.testing.assert_allclose(after.vertices, before.vertices, atol=0.5)
    np.testing.assert_allclose(after.projected - [x, y], before.projected, atol=0.05)


def test_a_point_of_little_weight_counts_little(model: MorphableModel, drawn_faces: list[Drawn]) -> None:
    face = drawn_faces[3]
    wrong, weights = face.points.copy(), np.ones(68)
    wrong[8] += [0, 0.5 * face.box]
    weights[8] = 1e-3
    told = vertex_error(fit(model, wrong, face.camera, weights).shape, face.vertices)
    assert told < vertex_error(fit(model, wrong, face.camera).shape, face.vertices)
    assert told == pytest.approx(vertex_error(fit(model, face.points, face.camera).shape, face.vertices), abs=0.3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda points: points + generator("far off").normal(0, 0.1 * np.ptp(points), points.shape),
            "misses the points by",
        ),
        (
            lambda points: points + np.where(np.arange(68)[:, None] < 17, [0, 90], 0),
            "standard deviations from the mean",
        ),
        (lambda points: np.zeros_like(points), "box of the points is 0.0 pixels"),
        (lambda points: np.column_stack([points[:, 0], 0 * points[:, 1]]), "box of the points is 0.0 pixels"),
        (lambda points: points * [-1, 1] + [SIZE, 0], "from behind, or mirrored"),
        (lambda points: generator("huge").normal(size=points.shape) * 1e12, ""),
    ],
    ids=["random", "jaw", "one place", "line", "mirrored", "huge"],
)
def test_points_that_are_no_face_give_the_mean_face_and_say_why(
    model: MorphableModel, drawn_faces: list[Drawn], change: Change, why: str
) -> None:
    found = fit(model, change(drawn_faces[0].points.astype(np.float64)), drawn_faces[0].camera)
    assert found.refused
    assert why in found.refused
    np.testing.assert_allclose(found.shape, 10 * model.mean, atol=1e-3)
    assert not found.identity.any()
    assert not found.expression.any()
    assert np.isfinite(found.vertices).all()
    assert np.isfinite(found.projected).all()


def test_a_search_that_does_not_end_gives_the_mean_face(
    model: MorphableModel, drawn_faces: list[Drawn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerecon.morphable.fit.STEPS", 1)
    found = fit(model, drawn_faces[0].points, drawn_faces[0].camera)
    assert found.refused == "did not converge"
    np.testing.assert_allclose(found.shape, 10 * model.mean, atol=1e-3)


@pytest.mark.parametrize(
    "points",
    [np.full((68, 2), np.nan), np.full((68, 3), np.inf), np.zeros((67, 2)), np.zeros((68, 1)), np.zeros(68)],
    ids=["nan", "infinite", "67", "no y", "flat"],
)
def test_what_are_no_68_points_is_refused(model: MorphableModel, points: NDArray[np.float64]) -> None:
    with pytest.raises(FaceReconError, match=r"a face is fitted to 68 finite points \[68, 2\]"):
        fit(model, points, assumed_camera(240, 320))


@pytest.mark.parametrize("weights", [np.zeros(68), np.full(68, -1.0), np.full(68, np.nan), np.ones(67)])
def test_weights_are_numbers_from_0_to_1(
    model: MorphableModel, drawn_faces: list[Drawn], weights: NDArray[np.float64]
) -> None:
    with pytest.raises(FaceReconError, match="weights of points are 68 numbers from 0 to 1"):
        fit(model, drawn_faces[0].points, drawn_faces[0].camera, weights)


def test_the_assumed_camera_sees_50_degrees_over_the_longer_side() -> None:
    for camera in (assumed_camera(480, 640), assumed_camera(640, 480)):
        assert 2 * math.degrees(math.atan(320 / camera.focal)) == pytest.approx(50)
    assert assumed_camera(480, 640).centre == (320, 240)
    # up in the world is up in the image, and what is nearer is larger
    low, high = assumed_camera(480, 640).project(np.array([[0, -1.0, -10], [0, 1.0, -10]]))
    assert high[1] < 240 < low[1]
