"""The journal: appended to, read back whole, and safe against a line that was torn."""

import os

import pytest

from ops import journal
from ops.journal import Move

MOVE = Move(
    model="facerecon-demo",
    version=2,
    by="run-2",
    decision="promoted",
    reason="gains, as ever: +0.3 dB “ü”",
    champion=(1, 2),
    challenger=(None, 2),
    champions=(1, 2),
    weights="w" * 64,
    figures="f" * 64,
    tags={"2": {"decision": "a\nb"}},
)


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))


def test_what_is_written_is_read_back_with_its_outcome():
    assert journal.entries() == []
    assert journal.intend(MOVE) == 1
    assert journal.intend(MOVE) == 2
    journal.conclude(1, "done")
    first, second = journal.entries()
    assert first.move == second.move == MOVE
    assert (first.number, first.outcome, second.number, second.outcome) == (1, "done", 2, None)
    assert first.time.endswith("+00:00")


def test_it_is_only_ever_appended_to_and_synced(monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), real(handle)))
    journal.intend(MOVE)
    before = journal.journal_path().read_bytes()
    assert len(before) in synced
    journal.conclude(1, "undone", "why")
    after = journal.journal_path().read_bytes()
    assert after.startswith(before)
    assert len(after) in synced
    assert after.count(b"\n") == 2


@pytest.mark.parametrize("missing", [1, 2, 30, 200])
def test_a_torn_last_line_is_skipped_and_does_not_spoil_the_next(missing):
    journal.intend(MOVE)
    journal.conclude(1, "done")
    journal.intend(MOVE)
    path = journal.journal_path()
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    # with nothing but its end of line gone, a line is whole
    held = 2 if missing == 1 else 1
    assert len(journal.entries()) == held
    assert journal.intend(MOVE) == held + 1
    assert len(journal.entries()) == held + 1
    assert journal.entries()[0].outcome == "done"
