"""The journal of promotions: what is about to be changed in the registry, written down before, and that it was done.

One JSON object a line, only ever appended to and synced. Setting several aliases and tags is no transaction: when a
process dies between two of them, the intent in the journal says what is to be completed. MLflow is the truth about what
is; the journal tells how it came about.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder

Outcome = Literal["done", "undone"]


@dataclass(frozen=True)
class Move:
    """What one decision changes in the registry; applying it twice changes nothing more.

    ``by`` is a run's name or "by hand", ``champion`` and ``challenger`` the alias's version before and after (None:
    nobody), ``champions`` all champions so far, the present one last, ``tags`` those to set by version,
    ``weights`` the digest of the weights of ``version`` and ``figures`` that of the figures the decision rests on ("":
    on none).
    """

    model: str
    version: int
    by: str
    decision: str
    reason: str
    champion: tuple[int | None, int | None]
    challenger: tuple[int | None, int | None]
    champions: tuple[int, ...]
    weights: str
    figures: str = ""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A move of the journal: its ``number``, the time it was written (ISO 8601, UTC), and its outcome, if any yet."""

    number: int
    time: str
    move: Move
    outcome: Outcome | None


def journal_path() -> Path:
    """The journal's file in the state folder."""
    return state_folder() / "promotions.jsonl"


def entries() -> list[Entry]:
    """All moves, the oldest first. A line that a dying process left half-written was not acted upon: skipped."""
    outcomes: dict[int, Outcome] = {}
    intents: dict[int, dict[str, Any]] = {}
    for line in _lines():
        if line["kind"] == "intent":
            intents[line["number"]] = line
        else:
            outcomes[line["number"]] = line["kind"]
    return [Entry(number, line["time"], _move(line["move"]), outcomes.get(number)) for number, line in intents.items()]


def intend(move: Move) -> int:
    """Write down what is about to be done; returns the move's number, for ``conclude``. Hold the registry's lock."""
    number = max((entry.number for entry in entries()), default=0) + 1
    _append({"kind": "intent", "number": number, "move": asdict(move)})
    return number


def conclude(number: int, outcome: Outcome, why: str = "") -> None:
    """Write down that a move was done, or undone and why."""
    _append({"kind": outcome, "number": number} | ({"why": why} if why else {}))


def _move(stored: dict[str, Any]) -> Move:
    tuples = {name: tuple(stored[name]) for name in ("champion", "challenger", "champions")}
    return Move(**stored | tuples)


def _lines() -> Iterator[dict[str, Any]]:
    try:
        content = journal_path().read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(error) from error
    for line in content.split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _append(line: dict[str, Any]) -> None:
    path = journal_path()
    try:
        _write(path, line)
    except OSError as error:
        raise _unusable(error) from error


def _unusable(error: OSError) -> FaceReconError:
    return FaceReconError(
        f"{journal_path()}: the journal cannot be used ({error.strerror}), and without it no model is promoted: "
        "make it a file that can be written, and run again"
    )


def _write(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        torn = b""
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            torn = b"" if stream.read(1) == b"\n" else b"\n"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        stream.write(torn + json.dumps(line | {"time": now}, sort_keys=True).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    # a file that was just made is only found again after a crash of the machine if its folder was synced too
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
