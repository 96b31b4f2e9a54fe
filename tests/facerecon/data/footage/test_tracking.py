"""Faces are followed through frames: none is lost to another, whatever way they go."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.data.footage.detection import Found
from facerecon.data.footage.tracking import Tracker

Sight = tuple[str, float, float]
"""Who is seen, at which x and y."""

STEP = 0.2


def looks(name: str, turned: float = 0.0) -> NDArray[np.float32]:
    """An embedding that is someone's own; two people's have a cosine of 0.2. A ``turned`` head looks less like it."""
    person = np.zeros(64)
    person[0], person[1 + sum(map(ord, name)) % 50], person[60] = 0.5, 1.0, turned
    return (person / np.linalg.norm(person)).astype(np.float32)


def found(x: float, y: float, size: float = 40) -> Found:
    return Found(np.array([x, y, x + size, y + size], np.float32), np.zeros((5, 2), np.float32), 1.0)


def follow(frames: list[list[Sight]], max_gap: float = 2.0) -> list[dict[str, int]]:
    """The number of the track that each person in each frame was put into."""
    tracker, seen = Tracker(max_gap), []
    for number, frame in enumerate(frames):
        tracker.end_lost(number * STEP)
        faces = [found(x, y) for _, x, y in frame]
        embeddings = np.array([looks(name) for name, _, _ in frame]).reshape(-1, 64)
        tracks = tracker.update(number * STEP, faces, embeddings, [1.0] * len(frame))
        seen.append({name: track.number for (name, _, _), track in zip(frame, tracks, strict=True)})
    return seen


def numbers(seen: list[dict[str, int]], name: str) -> set[int]:
    return {frame[name] for frame in seen if name in frame}


def test_two_people_who_cross_do_not_change_tracks() -> None:
    seen = follow([[("ada", 10 * step, 50), ("bob", 200 - 10 * step, 50)] for step in range(21)])
    assert numbers(seen, "ada") == {1}
    assert numbers(seen, "bob") == {2}


def test_nor_when_one_hides_the_other_in_between() -> None:
    frames: list[list[Sight]] = [[("ada", 10 * step, 50), ("bob", 200 - 10 * step, 50)] for step in range(21)]
    for step in range(8, 13):
        frames[step] = frames[step][:1]
    seen = follow(frames)
    assert numbers(seen, "ada") == {1}
    assert numbers(seen, "bob") == {2}


def test_someone_who_takes_another_ones_place_gets_a_track() -> None:
    seen = follow([[("ada", 50, 50)]] * 5 + [[("bob", 52, 50)]] * 5)
    assert (numbers(seen, "ada"), numbers(seen, "bob")) == ({1}, {2})


@pytest.mark.parametrize(("missed", "tracks"), [(4, {1}), (9, {1}), (11, {1, 2})])
def test_a_gap_is_bridged_if_it_is_short(missed: int, tracks: set[int]) -> None:
    seen = follow([[("ada", 50, 50)]] * 5 + [[]] * missed + [[("ada", 70, 50)]] * 5)
    assert numbers(seen, "ada") == tracks


def test_after_a_gap_a_face_that_looks_alike_may_have_gone_further_but_not_anywhere() -> None:
    for distance, tracks in ((150, {1}), (900, {1, 2})):
        seen = follow([[("ada", 50, 50)]] * 5 + [[]] * 3 + [[("ada", 50 + distance, 50)]] * 5)
        assert numbers(seen, "ada") == tracks


def test_fast_small_faces_whose_boxes_do_not_touch_are_followed() -> None:
    seen = follow([[("ada", 60 * step, 50)] for step in range(10)])
    assert numbers(seen, "ada") == {1}


def test_a_face_that_is_suddenly_much_larger_is_another() -> None:
    tracker = Tracker(2.0)
    for time, size in ((0.0, 20.0), (0.2, 60.0)):
        tracker.update(time, [found(50, 50, size)], looks("ada")[None], [1.0])
    assert len(tracker.live) == 2


def test_a_track_tells_what_was_seen_of_it() -> None:
    tracker = Tracker(0.5)
    for time, weight, turned in ((1.0, 1.0, 0.0), (1.2, 3.0, 0.5)):
        tracker.update(time, [found(50 + 10 * time, 50)], looks("ada", turned)[None], [weight])
    (track,) = tracker.end_lost(2.0)
    mean = looks("ada") + 3 * looks("ada", 0.5)
    np.testing.assert_allclose(track.embedding, mean / np.linalg.norm(mean), atol=1e-5)
    assert (track.number, track.first, track.last, track.seen) == (1, 1.0, 1.2, 2)
    assert tracker.live == []


def test_when_all_are_over_the_same_face_in_the_same_place_is_a_new_track() -> None:
    tracker = Tracker(2.0)
    for time in (0.0, 0.2):
        tracker.update(time, [found(50, 50)], looks("ada")[None], [1.0])
        assert [track.last for track in tracker.end_all()] == [time]
    assert tracker.live == []
    (track,) = tracker.update(0.4, [found(50, 50)], looks("ada")[None], [1.0])
    assert (track.number, track.seen) == (3, 1)


def test_without_looks_faces_are_followed_by_where_they_are() -> None:
    tracker, seen = Tracker(2.0), []
    for step in range(6):
        faces = [found(50 + 10 * step, 50), found(250 - 10 * step, 60)][:: -1 if step % 2 else 1]
        tracks = tracker.update(step * STEP, faces, np.empty((2, 0), np.float32), [1.0, 1.0])
        seen.append(tuple(track.number for track in tracks[:: -1 if step % 2 else 1]))
    assert set(seen) == {(1, 2)}
    (far,) = tracker.update(6 * STEP, [found(600, 400)], np.empty((1, 0), np.float32), [1.0])
    assert far.number == 3


def test_frames_without_faces() -> None:
    assert follow([[], [("ada", 0, 0)], [], []]) == [{}, {"ada": 1}, {}, {}]


PLACES = st.tuples(st.sampled_from("abcdef"), st.floats(0, 300), st.floats(0, 200))


@given(st.lists(st.lists(PLACES, max_size=4, unique_by=lambda sight: sight[0]), max_size=8))
def test_no_two_faces_of_a_frame_share_a_track_and_no_track_shows_two_people(frames: list[list[Sight]]) -> None:
    people: dict[int, set[str]] = {}
    for frame in follow(frames):
        assert len(set(frame.values())) == len(frame)
        for name, number in frame.items():
            people.setdefault(number, set()).add(name)
    assert all(len(names) == 1 for names in people.values())
