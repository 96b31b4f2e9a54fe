"""The journal of promotions: what is about to be changed in the registry, written down before, and that it was done.

One JSON object a line, only ever appended to and synced; of a server's registry it is an object in the stack's shared
place, written only as what it was read. Setting several aliases and tags is no transaction: when a
process dies between two of them, the intent in the journal says what is to be completed. MLflow is the truth about what
is; the journal tells how it came about. A line that cannot be read is passed over, and said to be once.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.workspace import state_folder
from ops.shared.place import ERRORS, shared_place, unreachable
from ops.shared.s3 import Bucket

Outcome = Literal["done", "undone", "set aside"]
"""``set aside``: it can never be completed."""

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True)
class Move:
    """What one decision changes in the registry; applying it twice changes nothing more.

    ``by`` is a run's name or "by hand", ``champion``, ``challenger`` and ``anchor`` the alias's version before and
    after (None: nobody; older lines have no anchor), ``champions`` all champions so far, the present one last, ``tags``
    those to set by version, ``weights`` the digest of the weights of ``version`` and ``figures`` that of the figures
    the decision rests on ("": on none).
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    model: str
    version: Number
    by: str
    decision: str
    reason: str
    champion: tuple[Number | None, Number | None]
    challenger: tuple[Number | None, Number | None]
    champions: tuple[Number, ...]
    weights: str
    figures: str = ""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    anchor: tuple[Number | None, Number | None] = (None, None)


@dataclass(frozen=True)
class Entry:
    """A move of the journal: its ``number``, the time it was written (ISO 8601, UTC), and its outcome, if any yet."""

    number: int
    time: str
    move: Move
    outcome: Outcome | None


NAME = "promotions.jsonl"


def journal_path() -> Path:
    """The journal of this clone's own registry, in the state folder."""
    return state_folder() / NAME


def where() -> str:
    """Where the journal in use lies: that of a server's registry lies where all machines reach it."""
    return str(journal_path()) if shared_place() is None else f"{NAME} in the stack's shared place"


@dataclass(frozen=True)
class Unreadable:
    """A line that is no entry: its place in the file, from 1, and a mark of its content, for ``set_line_aside``."""

    place: int
    mark: str


def entries() -> list[Entry]:
    """All moves, the oldest first. A line that a dying process left half-written was not acted upon: passed over."""
    return _read().entries


def unreadable() -> list[Unreadable]:
    """The lines that are no entries and that nobody was told of yet."""
    return _read().unreadable


def past_champion(model: str) -> int | None:
    """The version that was made champion of a registered model last; None if none ever was."""
    done = [entry.move for entry in entries() if entry.outcome == "done" and entry.move.model == model]
    return next((move.champion[1] for move in reversed(done) if move.champion[1] is not None), None)


def intend(move: Move) -> int:
    """Write down what is about to be done; returns the move's number, for ``conclude``. Hold the registry's lock."""
    number = _read().highest + 1
    _append({"kind": "intent", "number": number, "move": asdict(move)})
    return number


def conclude(number: int, outcome: Outcome, why: str = "") -> None:
    """Write down that a move was done, undone or set aside, and why."""
    _append({"kind": outcome, "number": number} | ({"why": why} if why else {}))


def set_line_aside(line: Unreadable) -> None:
    """Write down that a line is no entry, so that it is told of once."""
    _append({"kind": "unreadable", "line": line.mark})


@dataclass
class _Content:
    """What the file holds; ``highest`` is the highest number that any line of it has, 0 if none has one."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    highest: int = 0


_MOVE = TypeAdapter(Move)


def _read() -> _Content:
    content = _Content()
    told: set[str] = set()
    intents: dict[int, tuple[str, Move]] = {}
    outcomes: dict[int, Outcome] = {}
    for place, raw in enumerate(_lines(), 1):
        line = _parsed(raw)
        number, kind = _number(line), line.get("kind")
        content.highest = max(content.highest, number)
        if kind == "unreadable":
            told.add(str(line.get("line")))
        elif number and kind in get_args(Outcome):
            outcomes[number] = cast(Outcome, kind)
        elif number and kind == "intent" and number not in intents and (move := _move(line.get("move"))):
            intents[number] = (str(line.get("time", "")), move)
        elif raw.strip():
            content.unreadable.append(Unreadable(place, sha256_bytes(raw)[:16]))
    content.unreadable = [line for line in content.unreadable if line.mark not in told]
    content.entries = [Entry(number, *of, outcomes.get(number)) for number, of in intents.items()]
    return content


def _parsed(raw: bytes) -> dict[str, Any]:
    """The object on a line; {} if there is none."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def _number(line: dict[str, Any]) -> int:
    """The number of an entry; 0 if the line has none."""
    number = line.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**31 else 0


def _move(stored: Any) -> Move | None:
    """The move that was stored; None if it is none."""
    try:
        # as JSON, in which a tuple is an array
        return _MOVE.validate_json(json.dumps(stored))
    except (ValidationError, ValueError, RecursionError):
        return None


def _lines() -> list[bytes]:
    if (place := shared_place()) is not None:
        try:
            found = place.read(NAME)
        except ERRORS as error:
            raise unreachable(error) from error
        return [] if found is None else found.content.split(b"\n")
    try:
        return journal_path().read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(error) from error


def _append(line: dict[str, Any]) -> None:
    if (place := shared_place()) is not None:
        try:
            _append_shared(place, line)
        except ERRORS as error:
            raise unreachable(error) from error
        return
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


def _append_shared(place: Bucket, line: dict[str, Any]) -> None:
    """Write the whole journal anew with one line more, if it is as it was read.

    Raises:
        FaceReconError: another machine writes, which only happens where this one's lease has expired.
    """
    written = _stamped(line)
    found = place.read(NAME)
    before = b"" if found is None else found.content
    etag = place.create(NAME, written) if found is None else place.replace(NAME, before + written, found.etag)
    if etag is None:
        now = place.read(NAME)
        # an answer may be lost, and the request sent again refused
        if now is None or now.content != before + written:
            raise FaceReconError(
                f"{where()}: another machine is writing to it: nothing more is changed; run the same command again"
            )


def _stamped(line: dict[str, Any]) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps(line | {"time": now}, sort_keys=True).encode() + b"\n"


def _write(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        torn = b""
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            torn = b"" if stream.read(1) == b"\n" else b"\n"
        stream.write(torn + _stamped(line))
        stream.flush()
        os.fsync(stream.fileno())
    # a file that was just made is only found again after a crash of the machine if its folder was synced too
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
