"""Faces are found from large to small, the ones that are asked for are taken, and a hand may point one out."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.frames import BOX, FIVE, FOUND_BY, HIDDEN, LANDMARKS68, SQUARE, Frame
from facerecon.inference.stage import Runtime, make_stage


@pytest.fixture(scope="module")
def crowd(photo: Path) -> np.ndarray:
    """Three faces in a picture of 640 x 480: one of 256 px, one of 128, one of 48."""
    image = np.full((480, 640, 3), 120, np.uint8)
    face = read_rgb(photo)
    for size, (top, left) in ((256, (10, 10)), (128, (300, 60)), (48, (40, 520))):
        image[top : top + size, left : left + size] = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    return image


def found(image: np.ndarray, *later: tuple[str, dict], **settings: object) -> Outcome:
    """The picture after detection."""
    stages = [make_stage("detect", settings), *(make_stage(name, values) for name, values in later)]
    with Runtime() as runtime, Chain(stages, runtime) as chain:
        (outcome,) = chain.run([Frame(image)])
    return outcome


def test_all_faces_are_found_largest_first_the_small_one_too(crowd: np.ndarray) -> None:
    faces = found(crowd, faces="all").frame.faces
    assert [face.number for face in faces] == [1, 2, 3]
    middles = [tuple((face[BOX][:2] + face[BOX][2:]) / 2) for face in faces]
    for (x, y), (left, top, size) in zip(middles, ((10, 10, 256), (60, 300, 128), (520, 40, 48)), strict=True):
        assert left < x < left + size
        assert top < y < top + size
    assert "MTCNN" in faces[2][FOUND_BY]
    assert faces[0][SQUARE].side > faces[1][SQUARE].side > faces[2][SQUARE].side


@pytest.mark.parametrize(("chosen", "number"), [("largest", 1), (2, 2), (3, 3)])
def test_the_one_that_is_asked_for_is_taken(crowd: np.ndarray, chosen: object, number: int) -> None:
    everyone = found(crowd, faces="all").frame.faces
    frame = found(crowd, faces=chosen).frame
    assert [face.number for face in frame.faces] == [number]
    assert np.allclose(frame.faces[0][BOX], everyone[number - 1][BOX])
    assert (frame.remarks == ("3 faces found, 1 taken",)) == (chosen != "largest")  # it looks for no others


def test_a_number_that_is_not_there_and_nobody_at_all_are_told(crowd: np.ndarray) -> None:
    assert found(crowd, faces=4).frame.remarks == ("no face 4: 3 found",)
    assert found(np.full((200, 200, 3), 90, np.uint8)).frame.remarks == ("no face was found",)


def test_a_small_face_alone_is_found_by_mtcnn_and_not_if_it_is_to_be_ignored(crowd: np.ndarray) -> None:
    alone = crowd[:, 320:]
    assert len(found(alone).frame.faces) == 1
    assert not found(alone, small_faces="ignore").frame.faces


def test_a_face_in_the_dark_is_found_at_a_second_look(photo: Path) -> None:
    clear = read_rgb(photo)
    noise = np.random.default_rng(0).normal(0, 4, clear.shape)
    dark = (clear * 0.04 + noise).clip(0, 255).round().astype(np.uint8)
    before, after = (found(image).frame.faces for image in (clear, dark))
    assert before[0][FOUND_BY] == "MediaPipe"
    (face,) = after
    assert face[FOUND_BY].endswith(", contrast stretched")
    off = np.linalg.norm(face[SQUARE].corners.mean(0) - before[0][SQUARE].corners.mean(0))
    assert off < 0.12 * before[0][SQUARE].side


def test_noise_alone_has_no_face() -> None:
    dark = np.random.default_rng(1).normal(15, 4, (240, 320, 3)).clip(0, 255).astype(np.uint8)
    assert not found(dark).frame.faces


def test_a_face_without_landmarks_has_no_regions_and_it_is_told(photo: Path) -> None:
    tiny = np.full((120, 160, 3), 120, np.uint8)
    tiny[30:62, 50:82] = cv2.resize(read_rgb(photo), (32, 32), interpolation=cv2.INTER_AREA)
    outcome = found(tiny, ("hide", {"regions": ["mouth"]}))
    (face,) = outcome.frame.faces
    if LANDMARKS68 in face:
        assert outcome.frame.hidden is not None
        assert outcome.frame.hidden.any()
    else:
        assert outcome.frame.remarks == ("face 1 is too small for landmarks: no region of it is known",)


def test_a_face_pointed_out_by_hand_is_cut_as_the_same_points_found_would_be(crowd: np.ndarray) -> None:
    face = found(crowd).frame.faces[0]
    by_hand = found(crowd, points=[tuple(map(float, point)) for point in face[FIVE]]).frame.faces[0]
    assert by_hand[FOUND_BY] == "hand"
    assert by_hand[SQUARE].side == pytest.approx(face[SQUARE].side, rel=0.06)
    assert np.abs(by_hand[SQUARE].origin - face[SQUARE].origin).max() < 0.05 * face[SQUARE].side


def test_regions_need_landmarks_which_a_hand_does_not_give() -> None:
    stages = [make_stage("detect", {"points": [(1, 1), (9, 1), (5, 4), (2, 8), (8, 8)]})]
    with pytest.raises(FaceReconError, match=r"Hide needs face\.landmarks68"):
        Chain([*stages, make_stage("hide", {"regions": ["nose"]})], Runtime(), frozenset({HIDDEN}))
