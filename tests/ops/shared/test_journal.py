"""The journal of a server's registry: the same lines as in a file, written only as what they were read."""

from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops import journal
from ops.journal import Move, conclude, entries, intend, past_champion, set_line_aside, unreadable
from ops.shared.s3 import Bucket

MOVE = Move("facerecon-demo", 2, "a run", "promoted", "better", (1, 2), (None, 2), (1, 2), "d" * 64)


@pytest.fixture
def place(bucket: Bucket, state: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(journal, "shared_place", lambda: bucket)
    return bucket


def test_moves_are_kept_in_order_and_nothing_lies_in_the_state_folder(place: Bucket, state: Path) -> None:
    assert entries() == []
    first, second = intend(MOVE), intend(MOVE)
    conclude(first, "done")
    conclude(second, "undone", "another was quicker")
    assert [(entry.number, entry.move, entry.outcome) for entry in entries()] == [
        (1, MOVE, "done"),
        (2, MOVE, "undone"),
    ]
    assert past_champion("facerecon-demo") == 2
    assert not journal.journal_path().exists()


def test_a_line_that_is_none_is_passed_over(place: Bucket) -> None:
    intend(MOVE)
    found = place.read(journal.NAME)
    assert found is not None
    assert place.replace(journal.NAME, found.content + b"half a li\n", found.etag)
    (line,) = unreadable()
    assert line.place == 2
    set_line_aside(line)
    assert unreadable() == []
    assert len(entries()) == 1


def test_who_writes_over_another_is_refused(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    intend(MOVE)
    read = place.read

    def late(name: str):
        found = read(name)
        monkeypatch.setattr(place, "read", read)
        assert found is not None
        assert place.replace(name, found.content + b"{}\n", found.etag)  # the other was quicker
        return found

    highest = intend(MOVE)
    monkeypatch.setattr(place, "read", late)
    with pytest.raises(FaceReconError, match="another machine is writing to it"):
        conclude(highest, "done")
    assert [entry.outcome for entry in entries()] == [None, None]


def test_a_lost_answer_is_no_conflict(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    number = intend(MOVE)
    replace = place.replace

    def lost(name: str, content: bytes, etag: str) -> None:
        replace(name, content, etag)

    monkeypatch.setattr(place, "replace", lost)
    conclude(number, "done")
    assert [entry.outcome for entry in entries()] == ["done"]
