"""The ledger is written whole, read back as it was, and refused where it is damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from facerecon.data.collected.ledger import FILE, ClipRow, Ledger, Person, encoded
from facerecon.errors import FaceReconError


def ledger() -> Ledger:
    person = Person(
        "gate", ("a#1",), encoded(np.arange(4, dtype=np.float32)), encoded(np.ones(4)), left="is somebody in train, too"
    )
    return Ledger(
        clips={"a": ClipRow("door/one.mp4", "2026-01-01T00:00:00+00:00", "collected", faces=3, poor=1)},
        people={"k": person},
        left_out={"b#1": 0.45},
        gone=("photo",),
    )


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert Ledger.read(tmp_path) == Ledger()
    ledger().write(tmp_path)
    assert Ledger.read(tmp_path) == ledger()
    assert Ledger.read(tmp_path).people["k"].embedding_sum.tolist() == [0, 1, 2, 3]


def test_writing_what_is_there_touches_nothing(tmp_path: Path) -> None:
    ledger().write(tmp_path)
    before = (tmp_path / FILE).stat().st_mtime_ns
    ledger().write(tmp_path)
    assert (tmp_path / FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: stored["people"]["k"].pop("split"), "people.k.split"),
        (lambda stored: stored["people"]["k"].update(split="gat"), "people.k.split"),
        (lambda stored: stored.update(schema_version=2), "its schema_version is 2"),
        (lambda stored: stored.update(more=1), "more"),
    ],
)
def test_a_damaged_one_or_one_of_a_later_version_is_refused_in_one_line(tmp_path: Path, change, said: str) -> None:
    ledger().write(tmp_path)
    stored = json.loads((tmp_path / FILE).read_text())
    change(stored)
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(FaceReconError, match=said):
        Ledger.read(tmp_path)


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    ledger().write(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(FaceReconError, match=r"dvc checkout collected\.dvc"):
        Ledger.read(tmp_path)


def test_a_frozen_set_takes_nobody_in_and_has_a_new_number_when_somebody_goes():
    first = Ledger().frozen("gate_old", ["b", "a"])
    assert (first.face_sets["gate_old"].number, first.face_sets["gate_old"].faces) == (1, ("a", "b"))
    assert first.frozen("gate_old", ["a", "b", "c"]) is first
    less = first.frozen("gate_old", ["b", "c"])
    assert (less.face_sets["gate_old"].number, less.face_sets["gate_old"].faces) == (2, ("b",))
    # who went does not come back
    assert less.frozen("gate_old", ["a", "b"]) is less
