"""The audit log: what was done and when, as JSON lines of which each holds the SHA-256 of the one before.

It lies beside the key, not under ``$XDG_STATE_HOME``: what is there is taken for disposable, while key and log prove
something only together, so one folder is protected, saved and moved.

What the log shows of itself: an entry that was changed, taken out, put in or moved, unless it is the last. What only
the head in a signed record shows (``AuditLog.holds``): a log that was cut off at its end, or written anew as a whole.

A process that is killed while it writes, or a disk that fails, may leave a torn last line. The next entry keeps the
torn bytes, ends them with a newline and states their digest. A last line that lacks no more than its newline is whole.
"""

import fcntl
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from facerecon.custody.folder import custody_folder, make_private, sync_folder, told
from facerecon.errors import FaceReconError
from facerecon.files import canonical_json, sha256_bytes

FORMAT = 1

MOST_FACTS = 16
"""More facts than this are no facts about an event but data, which have no place here."""

_BLOCK = 1 << 13

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_EVENT = re.compile(r"[a-z]{2,20}(-[a-z]{2,20}){0,3}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FACT = re.compile(
    r"[0-9a-f]{8,128}"  # a digest, or the beginning of one; a fingerprint; a commit
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|[a-z0-9][a-z0-9_-]{0,63}/[0-9]{1,9}"  # a model's version: demo/3
    r"|[0-9]{1,9}(\.[0-9]{1,9}){1,3}"  # a program's version: 1.31.1
)

_LOOKS_WHOLE = b'Z"}'
"""How every entry ends, and none that was torn: what ends so and is no entry was changed."""

Facts = dict[str, int | str]


class Head(NamedTuple):
    """A state of the log: how many entries it has, and the SHA-256 of the last one's line."""

    number: int
    digest: str


EMPTY = Head(0, "0" * 64)
"""The head of a log without entries."""


class Torn(NamedTuple):
    """A torn line: how many bytes, and their SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A line of the log. ``time`` is UTC, ISO 8601; ``follows_torn`` the torn line that it has ended."""

    head: Head
    previous: str
    time: str
    event: str
    facts: Facts
    follows_torn: Torn | None


@dataclass(frozen=True)
class Report:
    """What ``AuditLog.check`` found.

    ``events`` counts the entries by event; ``first`` and ``last`` are times, None without entries. ``told`` is what is
    no fault but should be known: torn lines, a clock that went back. ``broken`` is the first thing that is wrong, ""
    if nothing is; the rest then is of the entries before it.
    """

    head: Head
    events: dict[str, int]
    first: str | None
    last: str | None
    told: tuple[str, ...]
    broken: str


class AuditLog:
    """The log at ``path``. Any number of processes and threads may use it at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def head(self) -> Head:
        """The state now; ``EMPTY`` where there is no log yet."""
        with self._reading() as found:
            return EMPTY if found is None else self._tail(*found).head

    def append(self, event: str, /, **facts: int | str) -> Head:
        """Write an entry; once this returns it is on the disk, and the head that is returned names it.

        ``event`` is words of small letters joined by hyphens. Facts are integers of 64 bits, digests (8 to 128 small
        hexadecimal digits), UUIDs, model versions (demo/3) or program versions (1.31.1): no text, so no names.

        Raises:
            ValueError: another event or fact.
            FaceReconError: it cannot be written, and then nothing of it is; or the last line was changed.
        """
        make_private(self.path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with told(self.path, "no entry written"), self._locked(flags, fcntl.LOCK_EX) as descriptor:
            size = os.fstat(descriptor).st_size
            tail = self._tail(descriptor, size)
            time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            line = _line(tail.head.number + 1, tail.head.digest, time, event, facts, tail.torn)
            try:
                left = memoryview((b"" if tail.ended else b"\n") + line + b"\n")
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
                if size == 0:
                    sync_folder(self.path.parent)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        return Head(tail.head.number + 1, sha256_bytes(line))

    def holds(self, head: Head) -> bool:
        """Whether the log has been in this state: if not, it was cut off or is another one."""
        if head.number == 0:
            return head == EMPTY
        for line in self._rows():
            if sha256_bytes(line) == head.digest:
                entry = _entry(line)
                return entry is not None and entry.head == head
        return False

    def lines(self) -> Iterator[Entry]:
        """All entries, the oldest first.

        Raises:
            FaceReconError: once it comes to something that is wrong.
        """
        return (found for found in self._walk() if isinstance(found, Entry))

    def check(self) -> Report:
        """Walk through the whole log."""
        head, first, last, broken = EMPTY, None, None, ""
        events: Counter[str] = Counter()
        said = []
        try:
            for found in self._walk():
                if isinstance(found, Torn):
                    said.append(f"{_torn(found)} at the end; the next entry will account for them")
                    break
                head = found.head
                if torn := found.follows_torn:
                    said.append(f"{_torn(torn)} before entry {head.number}, which accounts for them")
                if last is not None and found.time < last:
                    said.append(f"the clock went back before entry {head.number}, from {last} to {found.time}")
                first, last = first or found.time, found.time
                events[found.event] += 1
        except FaceReconError as error:
            broken = error.message
        return Report(head, dict(events), first, last, tuple(said), broken)

    def _walk(self) -> Iterator[Entry | Torn]:
        """All entries, and a torn last line that no entry has accounted for yet."""
        last, torn = EMPTY, list[bytes]()
        rows = self._rows()
        for row, line in enumerate(rows, 1):
            where = f"{self.path}, line {row}"
            entry = _entry(line)
            if entry is None:
                if line.endswith(_LOOKS_WHOLE):
                    raise FaceReconError(f"{where}: no entry: it was changed, or a newer version of facerecon wrote it")
                torn.append(line)
                continue
            if entry.follows_torn != _together(torn):
                before = f"{self.path}, line {row - len(torn)}"
                if entry.follows_torn is None:
                    raise FaceReconError(f"{before}: torn or changed, and the entry after it does not account for it")
                raise FaceReconError(f"{where}: what was torn before it is not what it states")
            if (entry.head.number - 1, entry.previous) != last:
                raise FaceReconError(f"{where}: {_misfit(entry, last, rows)}")
            last, torn = entry.head, []
            yield entry
        if left := _together(torn):
            yield left

    def _rows(self) -> Iterator[bytes]:
        """The lines that are there now, without their newlines; nothing that is being written."""
        with self._reading() as found:
            if found is None:
                return
            descriptor, left = found
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # up to here nobody changes anything
            with open(descriptor, "rb", closefd=False) as stream:
                while left:
                    line = stream.readline(left)
                    left = left - len(line) if line else 0
                    if line:
                        yield line.removesuffix(b"\n")

    @contextmanager
    def _reading(self) -> Iterator[tuple[int, int] | None]:
        """Descriptor and size of the log while nobody is writing; None if there is none."""
        with told(self.path, "not read"):
            if not self.path.exists():
                yield None
                return
            with self._locked(os.O_RDONLY | os.O_CLOEXEC, fcntl.LOCK_SH) as descriptor:
                yield descriptor, os.fstat(descriptor).st_size

    @contextmanager
    def _locked(self, flags: int, kind: int) -> Iterator[int]:
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield descriptor
        finally:
            os.close(descriptor)

    def _tail(self, descriptor: int, size: int) -> "_Tail":
        """The last entry, and what is torn behind it; reads no more of the log than it must."""
        span = _BLOCK
        while True:
            begin = max(0, size - span)
            lines = os.pread(descriptor, size - begin, begin).split(b"\n")
            ended = lines[-1] == b""
            if ended:
                del lines[-1]
            for at in range(len(lines) - 1, 0 if begin else -1, -1):
                if entry := _entry(lines[at]):
                    return _Tail(entry.head, _together(lines[at + 1 :]), ended)
                if lines[at].endswith(_LOOKS_WHOLE):
                    raise FaceReconError(
                        f"{self.path}: the last line is no entry: it was changed, or a newer version of facerecon "
                        "wrote it; see `facerecon audit`, then keep the file under another name: a new log begins"
                    )
            if begin == 0:
                return _Tail(EMPTY, _together(lines), ended)
            span *= 4


class _Tail(NamedTuple):
    head: Head
    torn: Torn | None
    ended: bool
    """Whether the log ends with a newline, or is empty."""


def audit_log() -> AuditLog:
    """This user's log, beside the key."""
    return AuditLog(custody_folder() / "audit.jsonl")


def _line(number: int, previous: str, time: str, event: str, facts: Facts, torn: Torn | None) -> bytes:
    """An entry's line; ValueError or TypeError for what no entry may hold."""
    if type(number) is not int or number < 1 or not _SHA256.fullmatch(previous) or not _TIME.fullmatch(time):
        raise ValueError("number, digest or time of an entry is none")
    if not _EVENT.fullmatch(event):
        raise ValueError(f"the event {event!r} is not one to four words of small letters joined by hyphens")
    if len(facts) > MOST_FACTS:
        raise ValueError(f"{len(facts)} facts, at most {MOST_FACTS} are allowed: log a digest of them")
    for name, value in facts.items():
        number_of = type(value) is int and -(2**63) <= value < 2**63
        if not _NAME.fullmatch(name) or not (number_of or (isinstance(value, str) and _FACT.fullmatch(value))):
            raise ValueError(f"the fact {name} is no integer, digest, UUID or version: texts and names are not logged")
    row: dict[str, Any] = {"event": event, "facts": facts, "format": FORMAT, "number": number, "previous": previous}
    if torn is not None:
        if type(torn.bytes) is not int or not _SHA256.fullmatch(torn.sha256):
            raise ValueError("size or digest of a torn line is none")
        row["follows_torn"] = torn._asdict()
    # "time" comes last: _LOOKS_WHOLE
    return canonical_json({**row, "time": time})


def _entry(line: bytes) -> Entry | None:
    """The entry that ``line`` is; None if it is none, or not exactly as ``_line`` writes it."""
    try:
        row = json.loads(line)
        torn = Torn(**row["follows_torn"]) if "follows_torn" in row else None
        parts = (row["previous"], row["time"], row["event"], row["facts"], torn)
        if _line(row["number"], *parts) != line:
            return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Entry(Head(row["number"], sha256_bytes(line)), *parts)


def _together(torn: list[bytes]) -> Torn | None:
    """Torn lines as one, as it happens where an entry about a torn line was itself torn; None if there is none."""
    content = b"\n".join(torn)
    return Torn(len(content), sha256_bytes(content)) if torn else None


def _torn(torn: Torn) -> str:
    return f"{torn.bytes} torn bytes (sha256 {torn.sha256[:12]}…) of what was being written"


def _misfit(entry: Entry, last: Head, rest: Iterator[bytes]) -> str:
    """In which way ``entry`` does not follow the entry of head ``last``."""
    number, wanted = entry.head.number, last.number + 1
    if number == wanted and last == EMPTY:
        return "entry 1 states an entry before it, so it was changed"
    if number == wanted:
        return f"entry {number} does not follow entry {last.number} as it is: one of the two was changed"
    if number < wanted:
        return f"entry {number} stands after entry {last.number}: it was repeated, or lines were moved"
    if any(other.head.number == wanted for other in map(_entry, rest) if other is not None):
        return f"entry {number} stands before entry {wanted}: lines were moved"
    missing = f"entry {wanted} is missing" if number == wanted + 1 else f"entries {wanted} to {number - 1} are missing"
    return f"{missing} before entry {number}"
