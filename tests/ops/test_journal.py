"""The journal: appended to, read back whole, and safe against a line that was torn."""

import json
import os
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


STORED = json.loads(json.dumps(asdict(MOVE)))


def intent(**changed) -> bytes:
    return json.dumps({"kind": "intent", "number": 9, "move": STORED} | changed).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ODD_MOVES = st.one_of(
    st.sampled_from(sorted(STORED)).map(lambda gone: {k: v for k, v in STORED.items() if k != gone}),
    st.tuples(st.sampled_from(sorted(STORED)), JSON).map(lambda put: STORED | dict([put])),
    JSON,
)
JUNK = st.one_of(
    st.sampled_from([b"123", b"{}", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b"1" * 5000]),
    st.binary(max_size=20).filter(lambda line: b"\n" not in line),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.builds(lambda kind, number: intent(kind=kind, number=number), JSON, JSON),
    ODD_MOVES.map(lambda move: intent(move=move)),
    st.just(intent(move=STORED | {"reason": "caf\udce9"})),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JUNK, max_size=5))
def test_whatever_stands_in_the_journal_what_is_written_after_it_is_read(lines):
    path = journal.journal_path()
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\n".join(lines))
    for line in journal.unreadable():
        journal.set_line_aside(line)
    assert journal.unreadable() == []
    number = journal.intend(MOVE)
    journal.conclude(number, "done")
    last = journal.entries()[-1]
    assert (last.number, last.move, last.outcome) == (number, MOVE, "done")
    assert journal.past_champion(MOVE.model) == 2


@pytest.mark.parametrize(
    "line", [b"123", b"{}", b"[]", b'"x"', b"\xff", intent(kind="intend"), intent(move={}), intent(number=True)]
)
def test_a_line_that_is_no_entry_is_told_of_once_with_its_place(line):
    journal.intend(MOVE)
    with journal.journal_path().open("ab") as stream:
        stream.write(line + b"\n")
    [told] = journal.unreadable()
    assert told.place == 2
    journal.set_line_aside(told)
    assert journal.unreadable() == []
    assert len(journal.entries()) == 1


def test_a_number_is_never_given_twice_whatever_an_odd_line_has():
    journal.journal_path().parent.mkdir()
    journal.journal_path().write_bytes(intent(move={"model": 3}) + b"\n" + b'{"kind": "done", "number": 12}\n')
    assert journal.intend(MOVE) == 13


def test_the_last_champion_is_known_of_what_was_done_alone():
    assert journal.past_champion(MOVE.model) is None
    journal.conclude(journal.intend(MOVE), "done")
    journal.conclude(journal.intend(Move(**asdict(MOVE) | {"champion": (2, 7)})), "undone")
    journal.conclude(journal.intend(Move(**asdict(MOVE) | {"champion": (2, 8)})), "set aside")
    journal.intend(Move(**asdict(MOVE) | {"champion": (2, 9)}))
    assert journal.past_champion(MOVE.model) == 2
    assert journal.past_champion("facerecon-other") is None
