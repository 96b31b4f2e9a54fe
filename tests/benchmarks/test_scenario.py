"""The scenario's cast and its score: who is where, and what counts as a leak."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import scenario
from benchmarks.scenario import cast_of, score
from facerecon.data.collected.archive import KeptFace, KeptTrack
from facerecon.data.collected.ledger import ClipRow, Ledger, Person, encoded
from facerecon.evaluation.comparison import Compared, Comparison

PHOTOS = {f"p{number}": [Path(f"{number}-{photo}.jpg") for photo in range(1 + number % 5)] for number in range(200)}


def test_nobody_has_a_photograph_in_two_places() -> None:
    cast = cast_of(PHOTOS, old=60, batch=20, known=3)
    assert len(cast.old) == 60
    assert [len(batch) for batch in cast.batches] == [20, 20]
    assert not cast.batches[0].keys() & cast.batches[1].keys()
    for batch in cast.batches:
        assert all(len(photos) == 2 for photos in batch.values())
        known = batch.keys() & cast.old.keys()
        assert len(known) == 3
        for name in known:
            assert not set(batch[name]) & set(cast.old[name])


def test_too_few_people_are_told() -> None:
    with pytest.raises(SystemExit, match="200 people are too few"):
        cast_of(PHOTOS, old=190, batch=20, known=3)


def track(number: int, x: float) -> KeptTrack:
    face = KeptFace("m", 5, 1.0, 0.9, (x, 10.0), (100, 0))
    return KeptTrack(number, 0.0, 1.0, np.zeros(4, np.float32), (face,), 0)


def test_people_in_two_splits_are_leaks_whoever_they_are_taken_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = {"a": [5, 100, 0, 120, 50], "b": [5, 200, 0, 220, 50], "c": [5, 300, 0, 320, 50]}
    truth = {"clips": {"one.mp4": [{"person": who, "boxes": [box]} for who, box in walks.items()]}}
    truth["clips"]["two.mp4"] = truth["clips"]["one.mp4"]
    tracks = {"1": (track(1, 10), track(2, 110), track(3, 210)), "2": (track(1, 10), track(2, 110), track(3, 500))}
    nobody = encoded(np.zeros(4))
    people = {
        "k1": Person("train", ("1#1",), nobody, nobody),
        "k2": Person("gate", ("2#1",), nobody, nobody),  # a again, not recognised: a leak
        "k3": Person("test", ("1#2", "2#2"), nobody, nobody),  # b, joined
        "k4": Person("val", ("2#3",), nobody, nobody),
    }
    rows = {sha256: ClipRow(name, "", "collected", faces=3) for sha256, name in (("1", "one.mp4"), ("2", "two.mp4"))}
    (tmp_path / "collected").mkdir()
    Ledger(clips=rows, people=people, left_out={"1#3": 0.45}).write(tmp_path / "collected")
    monkeypatch.setattr(scenario, "read_archive", lambda folder, sha256: tracks[sha256])
    found = score(SimpleNamespace(root=tmp_path), truth, old={"b": "test", "c": "train"})  # type: ignore[arg-type]
    assert found == {
        **{"appearances": 6, "tracks": 4, "tracks_of_nobody": 1, "tracks_left_out": 1, "people_seen": 2},
        **{"people_seen_again": 2, "of_them_joined": 1, "keys": 3, "keys_of_several_people": 0},
        **{"people_in_photographs_too": 1, "leaks": 1, "leaked_keys": ["k2"]},
    }
    # b is in train by photographs: that leaks, too
    assert score(SimpleNamespace(root=tmp_path), truth, old={"b": "train"})["leaks"] == 2  # type: ignore[arg-type]


def test_gains_are_measured_without_people_who_are_in_training_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"f1": "collected:k1", "f2": "collected:k2", "f3": "folder:Ada"}
    faces = SimpleNamespace(faces=pd.DataFrame({"face": list(names), "identity": list(names.values())}))
    made = {"evaluate/evaluation": "an evaluation", "freeze_sets/divided": faces}
    asked = {}

    def compared(evaluation, face_set, method, other, people, kept) -> Comparison:
        asked.update(evaluation=evaluation, face_set=face_set, people=people, kept=kept)
        row = {"metric": "hole_psnr", "case": "brush", "ours": 21.0, "theirs": 20.0, "gain": 1.0}
        rows = tuple(Compared(level=level, low=0.5, high=1.5, **row) for level in (1, None))
        return Comparison(method=method, other=other, face_set=face_set, identities=2, rows=rows)

    monkeypatch.setattr(scenario, "_made", lambda checkout, output, materializer: made[output])
    monkeypatch.setattr(scenario, "compare", compared)
    (row,) = scenario.gains_without(SimpleNamespace(), ["k2"])  # type: ignore[arg-type]
    assert asked == {"evaluation": "an evaluation", "face_set": "test_new", "people": names, "kept": ["f1", "f3"]}
    assert (row["gain"], row["level"], row["identities"]) == (1.0, None, 2)
