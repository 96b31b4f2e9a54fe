"""Which faces are good, and that the best of a track are kept, spread in time."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.data.footage.detection import Found
from facerecon.data.footage.selection import Best, Kept, Quality, measure, pose, region

FRONTAL = np.array([[40, 40], [80, 40], [60, 64], [45, 80], [75, 80]], np.float32)
GOOD = Quality(height=120, sharpness=300, yaw=0, pitch=0, brightness=127)


def kept(time: float, score: float) -> Kept:
    return Kept(round(time * 25), time, score, GOOD, (0, 0), (1, 1), b"")


def speckled(level: int = 120, size: int = 120) -> NDArray[np.uint8]:
    """A gray frame with a grain of pixels 4 px wide."""
    grain = np.random.default_rng(0).integers(-60, 60, (size // 4, size // 4, 1)).repeat(4, 0).repeat(4, 1).repeat(3, 2)
    return np.clip(level + grain, 0, 255).astype(np.uint8)


def face(size: int = 120) -> Found:
    return Found(np.array([0, 0, size, size], np.float32), FRONTAL * size / 120, 1.0)


# --------------------------------------------------------------------------------------------------------- the score


@pytest.mark.parametrize(
    "worse",
    [
        {"height": 30},
        {"sharpness": 20},
        {"yaw": 50},
        {"yaw": -50},
        {"pitch": 55},
        {"brightness": 15},
        {"brightness": 245},
    ],
    ids=str,
)
def test_each_trait_counts(worse: dict[str, float]) -> None:
    assert Quality(**{**vars(GOOD), **worse}).score < 0.9 * GOOD.score


POSITIVE = st.floats(0, 5000)


@given(POSITIVE, POSITIVE, st.floats(-180, 180), st.floats(-180, 180), st.floats(0, 255))
def test_the_score_is_a_share(height: float, sharpness: float, yaw: float, pitch: float, brightness: float) -> None:
    assert 0 <= Quality(height, sharpness, yaw, pitch, brightness).score <= 1


def test_what_is_blurred_is_less_sharp_and_what_is_dark_less_bright() -> None:
    clear = measure(speckled(), face())
    blurred = measure(cv2.GaussianBlur(speckled(), (0, 0), 4).astype(np.uint8), face())
    dark = measure(speckled(level=60), face())
    assert blurred.sharpness < clear.sharpness / 4
    assert blurred.score < clear.score
    assert dark.brightness == pytest.approx(60, abs=3)
    assert clear.brightness == pytest.approx(120, abs=3)
    assert clear.height == 120


def test_a_box_that_leaves_the_frame_is_measured_where_it_shows() -> None:
    outside = Found(np.array([-50, -50, 60, 60], np.float32), FRONTAL, 1.0)
    assert measure(speckled(), outside).brightness == pytest.approx(120, abs=8)
    assert np.isfinite(measure(speckled(), Found(np.array([200, 200, 260, 260], np.float32), FRONTAL, 1.0)).score)


@given(st.floats(-np.pi / 3, np.pi / 3), st.floats(0.2, 8), st.floats(-500, 500))
def test_pose_does_not_depend_on_roll_size_or_place(roll: float, scale: float, shift: float) -> None:
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    moved = (FRONTAL @ turn.T * scale + shift).astype(np.float32)
    np.testing.assert_allclose(pose(moved), pose(FRONTAL), atol=0.5)
    assert np.abs(pose(moved)).max() < 5


def test_a_head_that_turns_is_seen_to_turn() -> None:
    right, up = FRONTAL.copy(), FRONTAL.copy()
    right[2, 0] += 16
    up[2, 1] -= 12
    assert pose(right)[0] > 25
    assert pose(up)[1] > 15
    assert pose(np.zeros((5, 2), np.float32)) == (90, 0)


# -------------------------------------------------------------------------------------------------------- the region


@given(st.floats(-50, 250), st.floats(-50, 250), st.floats(12, 150))
def test_the_region_holds_the_face_threefold_and_stays_in_the_frame(x: float, y: float, side: float) -> None:
    box = np.array([x, y, x + side, y + side], np.float32)
    left, top, right, bottom = region(np.zeros((200, 200, 3), np.uint8), box)
    assert left >= 0
    assert top >= 0
    assert right <= 200
    assert bottom <= 200
    # as far as the frame goes, one face's width around it
    assert left <= max(0, x - side + 1)
    assert right >= min(200, x + 2 * side - 1)
    assert bottom >= min(200, y + 2 * side - 1)


# ---------------------------------------------------------------------------------------------------------- the best

SIGHTS = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 1)), max_size=60).map(sorted)


@given(SIGHTS, st.integers(1, 6), st.sampled_from([0.2, 0.5, 3.0]))
def test_the_best_of_each_span_and_of_these_the_best(
    sights: list[tuple[float, float]], most: int, apart: float
) -> None:
    best = Best(most, apart)
    for time, score in sights:
        wanted = best.wants(time, score)
        best.add(kept(time, score))
        assert wanted == any((face.time, face.score) == (time, score) for face in best.faces()) or not wanted
        assert len(best.faces()) <= most
    spans: dict[int, float] = {}
    for time, score in sights:
        spans[int(time / apart)] = max(score, spans.get(int(time / apart), 0))
    assert sorted((face.score for face in best.faces()), reverse=True) == sorted(spans.values(), reverse=True)[:most]
    assert [face.time for face in best.faces()] == sorted(face.time for face in best.faces())


def test_someone_who_comes_nearer_and_nearer_is_kept_more_than_once() -> None:
    best = Best(5, 0.5)
    for step in range(50):
        best.add(kept(step / 10, step / 50))
    assert [face.time for face in best.faces()] == [2.9, 3.4, 3.9, 4.4, 4.9]
