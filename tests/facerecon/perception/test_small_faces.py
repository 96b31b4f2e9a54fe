"""Faces too small to be seen at once are found through windows, once each, and at full resolution."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.images import read_rgb
from facerecon.perception.landmarks import FaceLandmarker
from facerecon.perception.small_faces import SMALLEST_WINDOW, Window, around, detect_in, window_levels


@pytest.fixture(scope="module")
def landmarker(landmark_model: Path) -> Iterator[FaceLandmarker]:
    with FaceLandmarker(landmark_model) as detector:
        yield detector


@pytest.fixture(scope="module")
def face(sample_faces: Path) -> NDArray[np.uint8]:
    return read_rgb(sample_faces / "person_0002" / "photo_0.jpg")


def large(faces: list[NDArray[np.uint8]], places: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """A photograph of 2000x1500 pixels with faces in it, each 240 pixels wide."""
    photo = np.full((1500, 2000, 3), 128, np.uint8)
    for shown, (left, top) in zip(faces, places, strict=True):
        photo[top : top + 240, left : left + 240] = cv2.resize(shown, (240, 240), interpolation=cv2.INTER_AREA)
    return photo


def found(photo: NDArray[np.uint8], detector: FaceLandmarker) -> list[NDArray[np.float32]]:
    levels = (detect_in(photo, windows, detector) for windows in window_levels(*photo.shape[:2]))
    return [points for points, _ in next((faces for faces in levels if faces), [])]


@pytest.mark.parametrize("place", [(0, 0), (620, 630), (900, 1100), (1760, 1260)])
def test_a_small_face_is_found_where_it_would_be_alone(
    landmarker: FaceLandmarker, face: NDArray[np.uint8], place: tuple[int, int]
) -> None:
    photo = large([face], [place])
    assert landmarker.detect(photo) == []
    [points] = found(photo, landmarker)
    small = photo[place[1] : place[1] + 240, place[0] : place[0] + 240]
    [(alone, _)] = landmarker.detect(small)
    assert np.abs(points[:, :2] - alone[:, :2] - place).mean() < 4


def test_two_faces_are_found_once_each(landmarker: FaceLandmarker, face: NDArray[np.uint8], sample_faces: Path) -> None:
    other = read_rgb(sample_faces / "person_0005" / "photo_0.jpg")
    photo = large([face, other], [(400, 500), (760, 560)])
    middles = sorted(points[:, 0].mean() for points in found(photo, landmarker))
    assert len(middles) == 2
    assert middles == pytest.approx([520, 880], abs=40)


def test_what_is_not_found_again_is_no_face(landmarker: FaceLandmarker, face: NDArray[np.uint8]) -> None:
    photo = large([face], [(400, 500)])
    shown = iter([True, False])

    class Fickle:
        """Finds a face in the first window that it is shown, and not in the next."""

        def detect(self, image: NDArray[np.uint8]) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
            return landmarker.detect(image) if next(shown, False) else []

    assert detect_in(photo, [Window(300, 400, 480)], Fickle()) == []  # type: ignore[arg-type]
    assert detect_in(photo, [Window(300, 400, 480)], landmarker)


@pytest.mark.parametrize(("height", "width"), [(1500, 2000), (1000, 4000), (513, 512), (700, 3000)])
def test_windows_cover_a_photo_and_overlap_by_half(height: int, width: int) -> None:
    levels = list(window_levels(height, width))
    assert levels
    for windows in levels:
        side = windows[0].side
        assert side >= SMALLEST_WINDOW
        for length, starts in ((width, {w.left for w in windows}), (height, {w.top for w in windows})):
            ordered = sorted(starts)
            assert (ordered[0], ordered[-1]) == (0, length - side)
            assert max(np.diff(ordered), default=0) <= side // 2 + 1


@pytest.mark.parametrize("side", [64, 250, 511])
def test_a_small_photo_is_not_looked_at_again(side: int) -> None:
    assert list(window_levels(side, side)) == []


@pytest.mark.parametrize("box", [(0, 0, 40, 50), (900, 700, 1000, 800), (-20, 300, 60, 400)])
def test_a_window_lies_in_the_photo(box: tuple[int, ...]) -> None:
    left, top, side = around(np.array(box, float), (800, 1000, 3))
    assert 0 <= left <= 1000 - side
    assert 0 <= top <= 800 - side
    assert side == 2 * max(box[2] - box[0], box[3] - box[1])
