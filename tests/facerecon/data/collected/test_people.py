"""Who is in new tracks: nobody changes split, and nobody who may be in two is used."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.collected.ledger import Ledger
from facerecon.data.collected.people import LEAST, NewTrack, OldPerson, assign, suspicion
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.settings import FootageSettings, SplitShares
from facerecon.errors import FaceReconError

SETTINGS = CollectSettings()
CLIPS = [f"{number:064x}" for number in range(200)]


def direction(seed: int) -> np.ndarray:
    """A unit vector of 128 dimensions; two of them have a cosine near 0."""
    vector = np.random.default_rng(seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def near(person: int, cosine: float, seed: int) -> np.ndarray:
    """A unit vector at that cosine to the ``direction`` of a person."""
    other = direction(10_000 + seed)
    other = other - (other @ direction(person)) * direction(person)
    found = cosine * direction(person) + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return (found / np.linalg.norm(found)).astype(np.float32)


def track(clip: int, embedding: np.ndarray, number: int = 1, first: float = 0.0, camera: str = "") -> NewTrack:
    return NewTrack(CLIPS[clip], camera, number, first, first + 1, embedding)


def old(person: int, split: str) -> OldPerson:
    return OldPerson((f"photo-{person}",), split, np.stack([near(person, 0.9, 500 + seed) for seed in range(3)]))


def in_split(split: str, start: int = 0) -> int:
    """A clip whose first track is somebody new in ``split``."""
    for clip in range(start, len(CLIPS)):
        made = assign(Ledger(), [track(clip, direction(clip))], [], SETTINGS)
        if next(iter(made.ledger.people.values())).split == split:
            return clip
    raise AssertionError(split)


def split_of(ledger: Ledger, clip: int) -> str:
    return ledger.people[ledger.person_of[f"{CLIPS[clip]}#1"]].split


def test_tracks_of_one_person_in_two_clips_are_one_person():
    made = assign(
        Ledger(), [track(0, near(7, 0.9, 1)), track(1, near(7, 0.9, 2)), track(2, direction(8))], [], SETTINGS
    )
    assert sorted(len(person.tracks) for person in made.ledger.people.values()) == [1, 2]
    assert sum(made.new.values()) == 2


def test_two_who_are_seen_at_the_same_time_are_two_people_however_alike():
    beside = [track(0, near(7, 0.95, 1)), track(0, near(7, 0.95, 2), number=2, first=0.5)]
    assert len(assign(Ledger(), beside, [], SETTINGS).ledger.people) == 2
    later = [track(0, near(7, 0.95, 1)), track(0, near(7, 0.95, 2), number=2, first=5)]
    assert len(assign(Ledger(), later, [], SETTINGS).ledger.people) == 1


def test_somebody_in_photographs_keeps_their_split_in_clips():
    made = assign(Ledger(), [track(0, near(7, 0.9, 1))], [old(7, "gate"), old(8, "train")], SETTINGS)
    person = made.ledger.people[made.ledger.person_of[f"{CLIPS[0]}#1"]]
    assert (person.split, person.old, made.joined, made.new) == ("gate", True, 1, {})


@given(st.permutations(range(6)), st.integers(1, 5))
def test_nothing_moves_a_person_whatever_comes_when(order: list[int], batches: int) -> None:
    # six tracks of three people, in any order and any number of batches, an older recording last or first
    tracks = [track(clip, near(clip % 3, 0.9, clip)) for clip in range(6)]
    ledger, seen = Ledger(), dict[str, str]()
    for batch in np.array_split(np.array(order), batches):
        ledger = assign(ledger, [tracks[clip] for clip in batch], [], SETTINGS).ledger
        now = {name: key for key, person in ledger.people.items() for name in person.tracks}
        assert all(now[name] == key for name, key in seen.items())
        splits = {key: person.split for key, person in ledger.people.items()}
        seen |= now
        assert all(ledger.people[key].split == split for key, split in splits.items())
    assert len(ledger.people) == 3


def test_the_same_tracks_in_any_order_give_the_same_ledger():
    tracks = [track(clip, near(clip % 3, 0.9, clip)) for clip in range(6)]
    assert assign(Ledger(), tracks, [], SETTINGS) == assign(Ledger(), tracks[::-1], [], SETTINGS)


def test_a_train_track_that_may_show_somebody_of_the_gate_is_left_out():
    clip = in_split("train")
    suspicious = [track(clip, near(7, 0.45, 1))]
    left = assign(Ledger(), suspicious, [old(7, "gate")], SETTINGS)
    assert left.left_out.keys() == {f"{CLIPS[clip]}#1"}
    assert not left.ledger.people
    assert left.ledger.left_out == left.left_out
    # of their own side there is nothing to fear, and below the threshold nobody is suspected
    assert not assign(Ledger(), suspicious, [old(7, "train")], SETTINGS).left_out
    assert not assign(Ledger(), [track(clip, near(7, 0.3, 1))], [old(7, "gate")], SETTINGS).left_out


def test_an_evaluated_track_that_may_show_somebody_of_train_is_left_out():
    clip = in_split("gate")
    assert assign(Ledger(), [track(clip, near(7, 0.45, 1))], [old(7, "train")], SETTINGS).left_out
    assert not assign(Ledger(), [track(clip, near(7, 0.45, 1))], [old(7, "test")], SETTINGS).left_out


def test_of_two_new_people_who_may_be_one_the_one_in_train_is_left_out():
    train, gate = in_split("train"), in_split("gate")
    made = assign(Ledger(), [track(train, direction(7)), track(gate, near(7, 0.45, 1))], [], SETTINGS)
    assert made.left_out.keys() == {f"{CLIPS[train]}#1"}
    assert split_of(made.ledger, gate) == "gate"


def test_two_who_prove_to_be_one_leave_the_evaluation_and_do_not_move():
    train, gate = in_split("train"), in_split("gate")
    one, other = near(7, 0.72, 1), near(7, 0.72, 2)  # each alike to person 7, and not to one another
    cautious = CollectSettings(innocents_lost=0.5, footage=FootageSettings(similarity=0.6), most_left_out=1)
    before = assign(Ledger(), [track(train, one)], [], cautious).ledger
    before = replace(before, people=before.people | assign(Ledger(), [track(gate, other)], [], cautious).ledger.people)
    made = assign(before, [track(199, direction(7))], [], cautious)
    assert made.proved == 1
    assert split_of(made.ledger, 199) == split_of(made.ledger, train) == "train"
    gated = made.ledger.people[made.ledger.person_of[f"{CLIPS[gate]}#1"]]
    assert (gated.split, gated.left) == ("gate", "is somebody in train, too")


def test_photographs_of_somebody_who_proves_to_be_in_train_leave_the_evaluation():
    train = in_split("train")
    before = assign(Ledger(), [track(train, near(7, 0.72, 1))], [], SETTINGS).ledger
    made = assign(before, [track(199, direction(7))], [old(7, "gate")], SETTINGS)
    assert made.ledger.gone == ("photo-7",)
    assert made.proved == 1


def test_the_threshold_follows_the_number_of_people_and_the_share_of_innocents():
    assert suspicion(0, 0.05) == 1.0
    assert suspicion(10, 0.05) == LEAST
    few, many = suspicion(500, 0.05), suspicion(50_000, 0.05)
    assert LEAST < few < many < 0.6
    # at 500 people one in 10,000 pairs may match by chance: SFace's cosine there
    assert few == pytest.approx(0.426, abs=0.002)
    assert suspicion(500, 0.2) < few


def test_the_run_stops_if_too_many_would_be_left_out():
    clips = [clip for clip in range(len(CLIPS)) if _split_alone(clip) == "train"][:12]
    alike = [track(clip, near(7, 0.47, clip)) for clip in clips]
    innocent = [track(clip, direction(500 + clip)) for clip in clips]
    with pytest.raises(FaceReconError, match=r"3 of 12 new tracks may show .* more than .*most_left_out = 0.2"):
        assign(Ledger(), alike[:3] + innocent[3:], [old(7, "gate")], SETTINGS)
    assert len(assign(Ledger(), alike[:2] + innocent[2:], [old(7, "gate")], SETTINGS).left_out) == 2


def _split_alone(clip: int) -> str:
    return split_of(assign(Ledger(), [track(clip, direction(clip))], [], SETTINGS).ledger, clip)


@pytest.mark.parametrize(("same_person", "people"), [("clip", 2), ("camera", 1)])
def test_people_can_be_told_by_clip_or_camera(same_person: str, people: int) -> None:
    settings = CollectSettings(footage=FootageSettings(same_person=same_person))
    tracks = [
        track(0, direction(1), camera="door"),
        track(0, direction(2), number=2, camera="door"),
        track(1, direction(3), camera="door"),
    ]
    made = assign(Ledger(), tracks, [old(1, "gate")], settings)
    assert len(made.ledger.people) == people
    assert sum(made.new.values()) == people
    again = assign(made.ledger, [track(2, direction(4), camera="door")], [], settings)
    assert len(again.ledger.people) == (3 if same_person == "clip" else 1)


def test_new_people_have_the_shares_of_the_settings():
    tracks = [track(clip, direction(clip)) for clip in range(len(CLIPS))]
    made = assign(Ledger(), tracks, [], CollectSettings(splits=SplitShares(train=0.6, val=0.1, gate=0.15, test=0.15)))
    assert made.new["train"] == pytest.approx(0.6 * len(CLIPS), abs=25)
    assert set(made.new) == {"train", "val", "gate", "test"}
