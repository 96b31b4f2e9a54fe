"""Which files were read before: while the file system says that a file is the same, it is not read again."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.files import atomic_path, digest_of

VERSION = 1
"""Part of the list's name: raise it when photos are refused for other reasons than before."""

SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read may change again within the same tick of its clock."""

_ROW = np.dtype([(name, "i8") for name in ("device", "inode", "size", "modified", "changed")] + [("sha256", "S64")])

State = tuple[int, int, int, int, int]


def state_of(path: Path) -> State | None:
    """Device, inode, size and times of modification and change (ns) of a file; None where there is none.

    It has none where it is a member of an archive, or where it cannot be looked at, which is for its reader to say.
    """
    try:
        return state_in(path.stat())
    except (OSError, ValueError):
        return None


def state_in(stat: os.stat_result) -> State:
    """The state that the file system tells of."""
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class KnownFiles:
    """The SHA-256 of each usable file under ``root``, by its state (``state_of``).

    The time of change is the file system's own: who writes other bytes into a file and sets its modification time back
    cannot set that one back. The list holds no names. ``folder`` keeps one for each root; a damaged one is forgotten.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._path = folder / f"known-{digest_of({'root': str(root.resolve()), 'version': VERSION})[:32]}.npy"
        self._before = _read(self._path)
        self._now: dict[State, str] = {}

    def find(self, state: State | None) -> str:
        """The SHA-256 of what is in ``state``; "" if it has to be read."""
        if state is None:
            return ""
        if sha256 := self._before.get(state, ""):
            self._now[state] = sha256
        return sha256

    def add(self, state: State | None, sha256: str) -> None:
        """Keep what was read of a file that was in ``state`` before it was read."""
        if state is not None and self._settled(state):
            self._now[state] = sha256

    def _settled(self, state: State) -> bool:
        """Whether a change of the file would show in its state."""
        return max(state[3:]) < time.time_ns() - SETTLED_NS

    def write(self) -> None:
        """Keep the list of what is under the root now."""
        if self._now.keys() == self._before.keys():
            return
        write_rows(self._path, np.array([(*state, sha256) for state, sha256 in sorted(self._now.items())], dtype=_ROW))


def forget_known(folder: Path) -> None:
    """Remove the lists in ``folder``: a digest that nobody can be told by is still one of a person's photo."""
    for path in folder.glob("known-*.npy"):
        path.unlink(missing_ok=True)


def forget_some(folder: Path, sha256s: set[str]) -> None:
    """Take these out of the lists in ``folder``, of what takes long to read again."""
    for path in folder.glob("known-*.npy"):
        before = _read(path)
        rows = [(*state, sha256) for state, sha256 in sorted(before.items()) if sha256 not in sha256s]
        if len(rows) < len(before):
            write_rows(path, np.array(rows, dtype=_ROW))


def write_rows(path: Path, rows: NDArray[np.void]) -> None:
    """Write a table of rows in one step, for ``read_rows``."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, rows)


def read_rows(path: Path, kind: np.dtype[np.void]) -> list[tuple[Any, ...]]:
    """The rows of a table; none where it is missing, damaged or of other columns: what is kept so can be told anew."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return []
    return rows.tolist() if rows.dtype == kind else []


def _read(path: Path) -> dict[State, str]:
    rows = read_rows(path, _ROW)
    return {(row[0], row[1], row[2], row[3], row[4]): row[5].decode("ascii", "replace") for row in rows}
