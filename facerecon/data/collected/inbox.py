"""The inbox: which clips in it are new and whole. It reads no clip, only what the file system says of each."""

import errno
import hashlib
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from pydantic import Field

from facerecon.data.known import SETTLED_NS, KnownFiles, State, read_rows, state_in, state_of, write_rows
from facerecon.data.listing import walk
from facerecon.data.quarantine import Code, Refusal, RefusedError, refusal_of
from facerecon.data.sources.footage import FRAMES_SUFFIX, VIDEO_SUFFIXES, frames_folder, is_video
from facerecon.errors import FaceReconError
from facerecon.files import digest_of
from facerecon.settings import Settings
from facerecon.workspace import state_folder

PARTIAL_SUFFIXES = frozenset(
    {".aria2", ".crdownload", ".download", ".filepart", ".opdownload", ".part", ".partial", ".tmp"}
)
"""What browsers and copying programs add to the name of a file that is not whole yet."""

DONE_SUFFIX = ".done"
"""A file ``CLIP.done`` beside a clip says that the clip is whole."""

_SECOND = 1_000_000_000

_SEEN = np.dtype(
    [(name, "i8") for name in ("device", "inode", "size", "modified", "changed", "first", "last")] + [("late", "?")]
)


class InboxSettings(Settings):
    """Where new clips arrive, and how it is told that one is whole."""

    path: str = Field("inbox", min_length=1, description="a relative one starts at the project's root")
    complete: Literal["settled", "marker"] = Field(
        "settled",
        description="whole is what has not changed for `settle` seconds, or has a file CLIP.done beside it",
    )
    settle: float = Field(60, ge=0, le=86_400, description="seconds")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A whole clip that was not read before; ``uri`` is relative to the inbox, with forward slashes.

    ``state`` is that of the file, or of the folder of frames with all in it: ``clip_state`` says whether it still is.
    """

    uri: str
    path: Path
    state: State


@dataclass(frozen=True, slots=True)
class Inbox:
    """What lies in an inbox: clips to be read, the uris of those that may still grow, how many are known, and what is
    no clip that could be read, with its reason. All are in the order of their uris."""

    new: tuple[Waiting, ...]
    young: tuple[str, ...]
    known: int
    refused: tuple[tuple[str, Refusal], ...]


class KnownClips(KnownFiles):
    """The SHA-256 of the content of each clip that was read, by state, and since when others have been seen in theirs.

    ``write`` keeps what was found or added since ``look``: what has left the inbox leaves the list.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        super().__init__(folder, root)
        self._sightings = _Sightings(folder / f"seen-{digest_of({'root': str(root.resolve())})[:32]}.npy")

    def still_since(self, states: list[State], now: float) -> list[float]:
        """Since when each clip has been in its state, in seconds since 1970; it is kept on disk when each was seen.

        By its times, where they are in the past and no look has seen another state of it since; else since it was first
        seen in this one. The clock of a network share may be ahead or behind.
        """
        return self._sightings.note(states, round(now * _SECOND))

    def _settled(self, state: State) -> bool:
        first = self._sightings.first(state)
        return super()._settled(state) or (first is not None and first < time.time_ns() - SETTLED_NS)


def known_clips(root: Path) -> KnownClips:
    """What this clone knows of the clips in the inbox ``root``."""
    return KnownClips(state_folder() / "inbox", root)


def inbox_root(settings: InboxSettings, project: Path) -> Path:
    """The folder that the settings name.

    Raises:
        FaceReconError: it is missing, no folder, cannot be read, or holds or lies in what belongs to DVC.
    """
    root = project / Path(settings.path).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise FaceReconError(f"inbox.path: {root} {what}: make the folder in which new clips arrive, or name another")
    if not os.access(root, os.R_OK | os.X_OK):
        raise FaceReconError(f"inbox.path: {root} cannot be read: mend its permissions")
    for name in ("data", "collected"):
        kept = (project / name).resolve()
        if root.resolve().is_relative_to(kept) or kept.is_relative_to(root.resolve()):
            raise FaceReconError(
                f"inbox.path: {root} overlaps {project / name}, which DVC versions: name a folder beside it"
            )
    return root


def look(root: Path, settings: InboxSettings, known: KnownClips, now: float | None = None) -> Inbox:
    """What lies in the inbox ``root``; nothing of a known clip is read, of others at most the first bytes.

    A clip is what the source ``footage`` takes for one. Hidden files are passed over, and so are those that a program
    has not finished (``.part``), which are named among the young if their name says that they become a clip. ``now`` is
    in seconds since 1970.

    Raises:
        FaceReconError: ``root`` cannot be read.
    """
    now = time.time() if now is None else now
    found = _find(root.absolute())
    clips, refused, count = [], dict(found.refused), 0
    for uri, (path, state) in sorted(found.clips.items()):
        if known.find(state):
            count += 1
        elif not _is_clip(path):
            continue
        elif os.access(path, os.R_OK):
            clips.append(Waiting(uri, path, state))
        else:
            refused[uri] = Refusal(Code.UNREADABLE, f"cannot be read: {os.strerror(errno.EACCES)}")
    if settings.complete == "marker":
        whole = [clip.path.with_name(clip.path.name + DONE_SUFFIX).exists() for clip in clips]
    else:
        since = known.still_since([clip.state for clip in clips], now)
        whole = [now - start >= settings.settle for start in since]
    young = found.partial | {clip.uri for clip, is_whole in zip(clips, whole, strict=True) if not is_whole}
    return Inbox(tuple(compress(clips, whole)), tuple(sorted(young)), count, tuple(sorted(refused.items())))


def clips_in(root: Path) -> Iterator[Waiting]:
    """All clips in the inbox ``root``, known or not, whole or not; of each at most the first bytes are read.

    Raises:
        FaceReconError: ``root`` cannot be read.
    """
    for uri, (path, state) in sorted(_find(root.absolute()).clips.items()):
        if _is_clip(path):
            yield Waiting(uri, path, state)


def clip_state(path: Path) -> State | None:
    """The state of a clip as ``Waiting.state`` has it: who has read one sees whether it changed meanwhile.

    None if it is gone.

    Raises:
        FaceReconError: a folder of frames cannot be read any more.
    """
    if not path.is_dir():
        return state_of(path)
    files = [entry.path for entry in walk(path, follow_links=True) if not (entry.system or entry.refused)]
    states = [(file.relative_to(path).as_posix(), state) for file in files if (state := state_of(file))]
    return _folder_state(path, states)


@dataclass(frozen=True)
class _Found:
    clips: dict[str, tuple[Path, State]]
    partial: set[str]
    refused: dict[str, Refusal]


def _find(root: Path) -> _Found:
    """Every file that may be a clip, and every folder of frames, with its state."""
    found = _Found({}, set(), {})
    folders: defaultdict[str, list[tuple[str, State]]] = defaultdict(list)
    length = len(f"{root}/")
    for entry in walk(root, follow_links=True, refuse_folders=True):
        if entry.system:
            continue
        name = str(entry.path)[length:]
        # most files are in no folder of frames, and a path takes long to make
        folder = frames_folder(PurePath(name)) if FRAMES_SUFFIX in name.lower() else None
        clip = folder.as_posix() if folder else name
        if refused := entry.refused or _name_refusal(name):
            found.refused[_printable(clip)] = refused
            continue
        try:
            state = _state(entry.path)
        except RefusedError as error:
            found.refused[clip] = refusal_of(error)
            continue
        except FileNotFoundError:
            continue  # taken away since it was listed
        if folder:
            folders[clip].append((name[len(clip) + 1 :], state))
        elif entry.path.suffix.lower() not in PARTIAL_SUFFIXES:
            found.clips[name] = entry.path, state
        elif PurePath(entry.path.stem).suffix.lower() in VIDEO_SUFFIXES:
            found.partial.add(name)
    for clip, states in folders.items():
        if clip not in found.refused and (folder_state := _folder_state(root / clip, states)):
            found.clips[clip] = root / clip, folder_state
    return found


def _is_clip(path: Path) -> bool:
    return path.suffix != DONE_SUFFIX and (_is_frames(path) or is_video(path))


def _is_frames(path: Path) -> bool:
    return path.suffix.lower() == FRAMES_SUFFIX and path.is_dir()


def _name_refusal(name: str) -> Refusal | None:
    return None if _printable(name) == name else Refusal(Code.BAD_NAME, "its name is not valid UTF-8")


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _state(path: Path) -> State:
    """The state of a file.

    Raises:
        RefusedError: it is a pipe, a device, a socket, or a link that leads nowhere or in a circle.
        FileNotFoundError: it is no longer there.
    """
    try:
        found = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise
        what = "a link that cannot be followed" if path.is_symlink() else "cannot be looked at"
        raise RefusedError(Code.UNREADABLE, f"{what}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(Code.NOT_A_FILE, "not a file: a pipe, a device or a socket")
    return state_in(found)


def _folder_state(folder: Path, states: list[tuple[str, State]]) -> State | None:
    """The state of a folder of frames: its size stands for the names and states of all that is in it."""
    own = state_of(folder)
    if own is None:
        return None
    content = hashlib.sha256(repr(sorted(states)).encode("utf-8", "surrogateescape")).digest()
    modified, changed = (max(state[place] for state in (own, *(each for _, each in states))) for place in (3, 4))
    return own[0], own[1], int.from_bytes(content[:7], "big"), modified, changed


class _Sightings:
    """When clips that are not read yet were seen in which state: rows of ``_SEEN`` in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        rows = read_rows(path, _SEEN)
        self._rows: dict[State, _Sighting] = {
            (row[0], row[1], row[2], row[3], row[4]): _Sighting(*row[5:]) for row in rows
        }

    def first(self, state: State) -> int | None:
        """When a state was seen first, in nanoseconds since 1970."""
        return self._rows[state].first if state in self._rows else None

    def note(self, states: list[State], now: int) -> list[float]:
        """See ``KnownClips.still_since``; ``now`` is in nanoseconds."""
        last = {state[:2]: sighting.last for state, sighting in self._rows.items()}
        rows, since = {}, []
        for state in states:
            newest, before = max(state[3:]), self._rows.get(state)
            if before and before.first <= now:
                sighting = _Sighting(before.first, now, before.late)
            else:  # a change that claims to be older than a look that did not see it: a clock that is behind
                sighting = _Sighting(now, now, newest < last.get(state[:2], newest))
            by_sight = sighting.late or newest > now
            since.append((sighting.first if by_sight else min(sighting.first, newest)) / _SECOND)
            rows[state] = sighting
        if rows or self._rows:
            self._rows = rows
            table = [(*state, each.first, each.last, each.late) for state, each in sorted(rows.items())]
            write_rows(self._path, np.array(table, dtype=_SEEN))
        return since


@dataclass(frozen=True, slots=True)
class _Sighting:
    """``first`` and ``last`` are in nanoseconds; ``late`` is whether the times of the file are not to be believed."""

    first: int
    last: int
    late: bool
