"""Points and depth as drawn, and as they lie in a crop."""

from dataclasses import replace

import numpy as np
import pytest

from facerecon.data.geometry import box_of, outlined, turned_square
from facerecon.data.manifest import Manifest
from facerecon.perception.landmarks import sixty_eight
from facerecon.synthetic.mesh import read_canonical
from facerecon.tasks.landmarks import truth
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.details import Truth
from facerecon.tasks.landmarks.truth import chosen_faces, known_of, target_of
from facerecon.weights import weights_path

NOSE_TIP, JAW = 30, slice(0, 17)


def test_the_truth_of_a_drawn_face_is_not_what_mediapipe_sees(faces: Manifest) -> None:
    store, face = faces.aligned_faces, faces.faces["face"].iloc[0]
    known = known_of(store, face)
    assert known is not None
    assert known.truth is Truth.EXACT
    seen = sixty_eight(store.points(face).all478)
    distance = np.linalg.norm((known.points - seen)[:, :2], axis=1) / box_of(known.points)[1]
    assert 0.002 < distance.mean() < 0.06, "near it, and another"


def test_of_a_photograph_mediapipe_is_the_teacher(faces: Manifest, without_truth: Manifest) -> None:
    face = faces.faces["face"].iloc[0]
    told, known = known_of(without_truth.aligned_faces, face), known_of(faces.aligned_faces, face)
    assert told is not None
    assert known is not None
    assert told.truth is Truth.MEDIAPIPE
    assert told.read_depth is None
    assert np.isnan(told.millimetres)
    # z has the same sign and scale in both
    assert np.corrcoef(told.points[:, 2], known.points[:, 2])[0, 1] > 0.8
    assert 0.4 < told.points[:, 2].std() / known.points[:, 2].std() < 2.5


def test_z_is_towards_the_camera_and_in_the_unit_of_x_and_y(faces: Manifest) -> None:
    for face in faces.faces["face"].iloc[:4]:
        known = known_of(faces.aligned_faces, face)
        assert known is not None
        z = known.points[:, 2]
        assert z[NOSE_TIP] > z[JAW].max()
        assert z.mean() == pytest.approx(0, abs=1e-3)
        # a head is about as deep from the nose's tip to the jaw's ends as the face is wide
        assert 0.3 < (z.max() - z.min()) / box_of(known.points)[1] < 1.2
        width = float(np.ptp(known.points[:, 0])) * known.millimetres
        assert 90 < width < 200, "millimetres"


def test_depth_and_points_of_a_crop_agree(faces: Manifest) -> None:
    face = faces.faces["face"].iloc[0]
    known = known_of(faces.aligned_faces, face)
    assert known is not None
    middle, area = box_of(known.points)
    target = target_of(known, turned_square(middle, 1.5 * area, 0.2), 64, area)
    assert target.box == pytest.approx(64 / 1.5, rel=1e-5)
    assert target.millimetres == pytest.approx(known.millimetres * 1.5 * area / 64, rel=1e-5)
    x, y = np.floor(target.points[27:, :2]).astype(int).T  # nose, eyes and mouth: all of them are seen
    seen = target.inside[y, x]
    assert seen.sum() > 30
    apart = np.abs(target.depth[y, x] - target.points[27:, 2])[seen]
    assert apart.mean() < 0.8, "a pixel's depth is that of its middle"
    assert np.corrcoef(target.depth[y, x][seen], target.points[27:, 2][seen])[0, 1] > 0.95
    assert 0.15 < target.inside.mean() < 0.6
    assert (target.depth[~target.inside] == 0).all()


def test_a_crop_twice_as_large_shows_all_half_as_large(faces: Manifest) -> None:
    known = known_of(faces.aligned_faces, faces.faces["face"].iloc[0])
    assert known is not None
    middle, area = box_of(known.points)
    near, far = (target_of(known, turned_square(middle, times * area), 64, area) for times in (1.5, 3.0))
    np.testing.assert_allclose(near.points - [32, 32, 0], 2 * (far.points - [32, 32, 0]), atol=1e-3)


def test_frozen_crops_are_of_these_faces(faces: Manifest, cases: LandmarkCases) -> None:
    rows = faces.faces[faces.faces["split"] != "train"]
    assert set(cases.placed) == set(rows["face"])
    for face in rows["face"]:
        known = known_of(faces.aligned_faces, face)
        assert known is not None
        target = target_of(known, cases.square(face), 64, box_of(known.points)[1])
        assert (target.points[:, :2] > -6).all()
        assert (target.points[:, :2] < 70).all()


def given(z_sign: int) -> np.ndarray:
    """Points of a data set whose z grows towards the camera (1) or away from it (-1)."""
    face = sixty_eight(read_canonical(weights_path("face_landmarker"))[0])
    return (face * [4, -4, 4 * z_sign] + [50, 60, 7]).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_nose_says_where_given_z_grows_to(sign: int) -> None:
    known = truth._given(given(sign))
    assert known is not None
    assert known.truth is Truth.GIVEN
    assert known.points[NOSE_TIP, 2] > known.points[0, 2]
    assert known.points[:, 2].mean() == pytest.approx(0, abs=1e-4)
    assert known.read_depth is not None
    depth = known.read_depth()
    column, row = (known.points[NOSE_TIP, :2] / 2).astype(int)
    assert depth[row, column] == pytest.approx(known.points[NOSE_TIP, 2], abs=3), "at half size, the nose lies there"
    assert np.isnan(depth[2, 2]), "outside the points nothing is known"


def test_depth_from_given_points_is_close_to_the_true_one(faces: Manifest) -> None:
    for face in faces.faces["face"]:
        known = known_of(faces.aligned_faces, face)
        assert known is not None
        assert known.read_depth is not None
        given = truth._given(known.points)
        assert given is not None
        assert given.read_depth is not None
        found, true = given.read_depth(), known.read_depth()
        side = min(*found.shape, *true.shape)
        found, true = found[:side, :side], true[:side, :side]
        both = outlined(known.points / 2, side) & np.isfinite(found) & np.isfinite(true)
        assert both.sum() > 0.9 * outlined(known.points / 2, side).sum()
        millimetres = known.millimetres * (found - true)[both]
        assert np.sqrt((millimetres**2).mean()) < 5, "linear between the points it would be 12"


@pytest.mark.parametrize(
    "points", [np.zeros((0, 3)), np.ones((67, 3)), np.full((68, 3), np.nan), np.tile([3, 5, 7], (68, 1))]
)
def test_points_that_are_unusable_are_not_known(points: np.ndarray) -> None:
    assert truth._given(points.astype(np.float32)) is None


def test_a_large_source_does_not_crowd_out_a_small_one(faces: Manifest) -> None:
    rows = faces.faces.copy()
    few = rows["identity"] == "drawn-0-6"
    rows["source"] = np.where(few, "small", "large")
    rows["split"] = "test"
    chosen = chosen_faces(replace(faces, faces=rows), "test", 2).rows
    assert chosen["source"].value_counts().to_dict() == {"large": 2, "small": 2}
