"""Which photos were read before: while the file system says that a file is the same, it is not read again."""

import time
from pathlib import Path

import numpy as np

from facerecon.files import atomic_path, digest_of

VERSION = 1
"""Part of the list's name: raise it when photos are refused for other reasons than before."""

SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read may change again within the same tick of its clock."""

_ROW = np.dtype([(name, "i8") for name in ("device", "inode", "size", "modified", "changed")] + [("sha256", "S64")])

State = tuple[int, int, int, int, int]


class KnownPhotos:
    """The SHA-256 of each usable photo under ``root``, by device, inode, size and times of modification and change.

    The time of change is the file system's own: who writes other bytes into a file and sets its modification time back
    cannot set that one back. The list holds no names. ``folder`` keeps one for each root; a damaged one is forgotten.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._path = folder / f"known-{digest_of({'root': str(root.resolve()), 'version': VERSION})[:32]}.npy"
        self._before = _read(self._path)
        self._now: dict[State, str] = {}

    def find(self, path: Path) -> tuple[str, State | None]:
        """The SHA-256 of the photo at ``path``, "" if it has to be read, and its state now, None if there is none."""
        try:
            stat = path.stat()
        except (OSError, ValueError):
            return "", None  # a member of an archive, or for the reader to say
        state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if sha256 := self._before.get(state, ""):
            self._now[state] = sha256
        return sha256, state

    def add(self, state: State | None, sha256: str) -> None:
        """Keep what was read of a file that was in ``state`` before it was read."""
        if state is not None and max(state[3:]) < time.time_ns() - SETTLED_NS:
            self._now[state] = sha256

    def write(self) -> None:
        """Keep the list of what is under the root now."""
        if self._now.keys() == self._before.keys():
            return
        rows = np.array([(*state, sha256) for state, sha256 in sorted(self._now.items())], dtype=_ROW)
        with atomic_path(self._path) as temporary, temporary.open("wb") as stream:
            np.save(stream, rows)


def forget_known(folder: Path) -> None:
    """Remove the lists in ``folder``: a digest that nobody can be told by is still one of a person's photo."""
    for path in folder.glob("known-*.npy"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> dict[State, str]:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if rows.dtype != _ROW:
        return {}
    return {(row[0], row[1], row[2], row[3], row[4]): row[5].decode("ascii", "replace") for row in rows.tolist()}
