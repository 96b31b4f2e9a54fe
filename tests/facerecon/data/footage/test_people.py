"""Tracks of one person are joined, in one clip and across clips; two people who were there together never are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.data.footage.people import Seen, name_people


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


ADA, ADA_AGAIN, BOB = unit(1, 0, 0), unit(1, 0.3, 0), unit(0.2, 0, 1)


def seen(clip: str, number: int, embedding: NDArray[np.float32], first: float = 0, last: float = 1) -> Seen:
    return Seen(clip, f"{clip}#{number}", first, last, embedding)


def test_tracks_that_look_alike_are_one_person_named_by_the_first() -> None:
    tracks = [
        seen("a.mp4", 1, ADA),
        seen("a.mp4", 2, BOB),
        seen("a.mp4", 3, ADA_AGAIN, 5, 6),
        seen("b.mp4", 1, BOB),
        seen("c.mp4", 1, ADA),
    ]
    assert name_people(tracks, 0.5) == ["a.mp4#1", "a.mp4#2", "a.mp4#1", "a.mp4#2", "a.mp4#1"]


def test_two_at_one_time_in_a_clip_are_two_people_however_alike() -> None:
    assert name_people([seen("a", 1, ADA, 0, 4), seen("a", 2, ADA, 3, 6)], 0.5) == ["a#1", "a#2"]
    assert name_people([seen("a", 1, ADA, 0, 4), seen("a", 2, ADA, 5, 6)], 0.5) == ["a#1", "a#1"]
    # nor do they become one by a third
    together = [seen("a", 1, ADA), seen("a", 2, ADA), seen("b", 1, ADA)]
    names = name_people(together, 0.5)
    assert names[0] != names[1]
    assert names[2] in names[:2]


def test_the_threshold_is_the_cosine() -> None:
    pair = [seen("a", 1, unit(1, 0)), seen("b", 1, unit(0.6, 0.8))]
    assert len(set(name_people(pair, 0.59))) == 1
    assert len(set(name_people(pair, 0.61))) == 2


def test_none_and_one() -> None:
    assert name_people([], 0.5) == []
    assert name_people([seen("a", 1, ADA)], 0.5) == ["a#1"]


def test_clips_that_arrive_later_change_no_name() -> None:
    before = [seen("a", 1, ADA), seen("a", 2, BOB), seen("b", 1, ADA_AGAIN)]
    after = [*before, seen("c", 1, BOB), seen("c", 2, unit(0, 1, 0)), seen("d", 1, unit(0, 1, 0.1))]
    assert name_people(after, 0.5)[:3] == name_people(before, 0.5)
    assert name_people(after, 0.5)[3:] == ["a#2", "c#2", "c#2"]


TRACKS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.floats(0, 9), st.floats(0, 9), st.lists(st.floats(-1, 1), min_size=3, max_size=3)
    ),
    max_size=12,
)


@given(TRACKS, st.floats(-0.9, 0.9))
def test_whoever_was_there_together_is_kept_apart(
    rows: list[tuple[str, float, float, list[float]]], similarity: float
) -> None:
    tracks = [
        seen(clip, number, unit(*values, 0.1), min(times), max(times))
        for number, (clip, *times, values) in enumerate(rows)
    ]
    names = name_people(tracks, similarity)
    assert names == name_people(tracks, similarity)
    for i, (one, name) in enumerate(zip(tracks, names, strict=True)):
        assert names[names.index(name)] == tracks[names.index(name)].name == name
        for other, other_name in zip(tracks[:i], names, strict=False):
            if one.clip == other.clip and one.first <= other.last and other.first <= one.last:
                assert name != other_name
