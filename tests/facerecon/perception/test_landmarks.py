"""Landmarks: the network finds drawn faces where they are, and the point sets keep their order."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from facerecon.images import read_rgb
from facerecon.perception.landmarks import (
    SIXTY_EIGHT,
    FaceLandmarker,
    five_points,
    head_angles,
    sixty_eight,
    towards_camera,
)


@pytest.fixture(scope="module")
def landmarker(landmark_model: Path) -> Iterator[FaceLandmarker]:
    with FaceLandmarker(landmark_model) as landmarker:
        yield landmarker


@pytest.fixture(scope="module")
def photo(sample_faces: Path) -> NDArray[np.uint8]:
    return read_rgb(sample_faces / "person_0000" / "photo_0.jpg")


@pytest.mark.parametrize("person", range(4))
def test_points_lie_where_the_face_was_drawn(landmarker: FaceLandmarker, sample_faces: Path, person: int) -> None:
    folder = sample_faces / f"person_{person:04d}"
    [(points, _)] = landmarker.detect(read_rgb(folder / "photo_0.jpg"))
    truth = json.loads((folder / "truth.json").read_text())["photos"]["photo_0.jpg"]
    expected = np.array(truth["landmarks68"])[17:]  # the jaw line's points slide along it
    assert points.shape == (478, 3)
    assert points.dtype == np.float32
    error = np.linalg.norm(sixty_eight(points)[17:, :2] - expected, axis=1)
    eyes = np.linalg.norm(expected[36 - 17] - expected[45 - 17])
    assert error.mean() < 0.08 * eyes


def test_points_do_not_depend_on_the_images_shape(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    [(points, _)] = landmarker.detect(photo)
    wide = np.zeros((256, 400, 3), dtype=np.uint8)
    wide[:, 100:356] = photo
    [(moved, _)] = landmarker.detect(wide)
    assert np.abs(moved[:, :2] - points[:, :2] - [100, 0]).mean() < 2


def test_no_face(landmarker: FaceLandmarker) -> None:
    assert landmarker.detect(np.full((128, 128, 3), 127, dtype=np.uint8)) == []


def test_an_image_that_is_a_view_or_read_only(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    [(expected, _)] = landmarker.detect(photo)
    view = np.ascontiguousarray(photo[..., ::-1])[..., ::-1]
    view.flags.writeable = False
    [(points, _)] = landmarker.detect(view)
    np.testing.assert_array_equal(points, expected)


def test_as_many_faces_as_asked_for(landmark_model: Path, photo: NDArray[np.uint8]) -> None:
    pair = np.concatenate([photo, photo], axis=1)
    with FaceLandmarker(landmark_model, most=1) as one, FaceLandmarker(landmark_model, most=2) as two:
        assert len(one.detect(pair)) == 1
        assert len(two.detect(pair)) == 2


def test_five_points_are_ordered_as_seen(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    for image in (photo, photo[:, ::-1]):
        [(points, _)] = landmarker.detect(image)
        left_eye, right_eye, nose, left_mouth, right_mouth = five_points(points)
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_sixty_eight_points_follow_the_300w_scheme(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    [(points, _)] = landmarker.detect(photo)
    x, y = sixty_eight(points)[:, :2].T
    assert len(set(SIXTY_EIGHT)) == len(SIXTY_EIGHT) == 68
    assert (np.diff(x[:17]) > 0).sum() >= 14  # jaw: from the left to the right
    assert y[8] == y[:17].max()  # by way of the chin
    assert (np.diff(x[17:27]) > 0).all()  # brows
    assert (np.diff(y[27:31]) > 0).all()  # bridge of the nose, down
    assert (np.diff(x[31:36]) > 0).all()  # base of the nose
    for eye in (36, 42):  # corner, two above, corner, two below
        assert x[eye] < x[eye + 1] < x[eye + 2] < x[eye + 3]
        assert y[eye + 1] < y[eye + 5]
        assert y[eye + 2] < y[eye + 4]
    assert (np.diff(x[48:55]) > 0).all()  # upper lip
    assert (np.diff(x[54:60]) < 0).all()  # lower lip, back
    assert y[48:55].mean() < y[55:60].mean()
    assert x[48] < x[60] < x[64] < x[54]  # the inner outline lies in the outer one
    brows, eyes, mouth = y[17:27].mean(), y[36:48].mean(), y[48:].mean()
    assert brows < eyes < y[33] < mouth < y[8]


@pytest.mark.parametrize("points", [468, 478])
def test_point_sets_take_all_dimensions(points: int) -> None:
    assert sixty_eight(np.zeros((points, 3), dtype=np.float32)).shape == (68, 3)
    assert five_points(np.zeros((478, 3), dtype=np.float32)).shape == (5, 2)


@pytest.mark.parametrize(
    ("axis", "degrees", "expected"),
    [
        ("y", 20, (20, 0, 0)),  # y up and the camera before the face: to the image's right
        ("x", -15, (0, 15, 0)),  # the nose goes up
        ("z", -10, (0, 0, 10)),  # clockwise as seen
    ],
)
def test_head_angles_have_the_signs_that_are_told(axis: str, degrees: float, expected: tuple[float, ...]) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    matrix[:3, 3] = [1, 2, -40]
    assert head_angles(matrix) == pytest.approx(expected, abs=1e-6)
    nose = matrix[:3, :3] @ [0, 0, 1]
    assert np.sign(nose[0]) == np.sign(expected[0])
    assert np.sign(nose[1]) == np.sign(expected[1])


def test_a_mirrored_photo_turns_the_other_way(landmarker: FaceLandmarker, sample_faces: Path) -> None:
    image = read_rgb(sample_faces / "person_0000" / "photo_0.jpg")  # turned by 15 and leaning by -6 degrees
    yaw, pitch, roll = head_angles(landmarker.detect(image)[0][1])
    mirrored = head_angles(landmarker.detect(image[:, ::-1])[0][1])
    assert abs(yaw) > 8
    assert mirrored == pytest.approx((-yaw, pitch, -roll), abs=4)


def test_nothing_is_written_to_the_terminal(
    landmark_model: Path, photo: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    with FaceLandmarker(landmark_model) as landmarker:
        landmarker.detect(photo)
    assert capfd.readouterr() == ("", "")


def test_the_nose_is_nearer_to_the_camera_than_the_ears(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    [(points, _)] = landmarker.detect(photo)
    turned = towards_camera(points)
    z = sixty_eight(turned)[:, 2]
    assert z.mean() == pytest.approx(0, abs=1e-3)
    assert z[30] > 10 > -10 > z[[0, 16]].max()
    np.testing.assert_array_equal(turned[:, :2], points[:, :2])
