"""Faces are found, large and small, each once, with five points where eyes, nose and mouth are."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.footage.detection import FaceFinder, Found
from facerecon.data.settings import FootageSettings

Image = NDArray[np.uint8]


def find(image: Image, model: Path, **settings: object) -> list[Found]:
    with closing(FaceFinder(FootageSettings(**settings), model)) as finder:  # type: ignore[arg-type]
        return finder.find(image)


@pytest.fixture(scope="module")
def two_faces(people: list[list[Image]]) -> Image:
    """A frame uint8 [270, 480, 3] with a face of some 120 px on the left and one of some 37 px on the right."""
    frame = np.full((270, 480, 3), 110, np.uint8)
    frame[20:250, 10:240] = cv2.resize(people[0][0], (230, 230), interpolation=cv2.INTER_CUBIC)
    frame[95:165, 370:440] = cv2.resize(people[1][0], (70, 70), interpolation=cv2.INTER_AREA)
    return frame


@pytest.mark.parametrize(
    ("detector", "sides"), [("mediapipe", ["large"]), ("mtcnn", ["large", "small"]), ("auto", ["large", "small"])]
)
def test_both_detectors_and_what_each_sees(
    two_faces: Image, landmark_model: Path, detector: str, sides: list[str]
) -> None:
    found = find(two_faces, landmark_model, detector=detector)
    assert ["large" if face.box[0] < 240 else "small" for face in found] == sides
    for face in found:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.points
        inside = (face.points > face.box[:2] - 2) & (face.points < face.box[2:] + 2)
        assert inside.all()
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_faces_smaller_than_wanted_are_left_out(two_faces: Image, landmark_model: Path) -> None:
    assert len(find(two_faces, landmark_model, min_face=60)) == 1
    assert find(two_faces, landmark_model, min_face=250) == []


@pytest.mark.parametrize("shape", [(1, 1), (12, 300), (40, 40), (300, 20)])
@pytest.mark.parametrize("level", [0, 255])
def test_frames_with_nothing_in_them_of_any_shape(landmark_model: Path, shape: tuple[int, int], level: int) -> None:
    assert find(np.full((*shape, 3), level, np.uint8), landmark_model) == []
