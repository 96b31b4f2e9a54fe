"""Where the key and the audit log lie: outside every clone, for their owner alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facerecon.errors import FaceReconError


def custody_folder() -> Path:
    """``$FACERECON_CUSTODY``, else ``$XDG_CONFIG_HOME/facerecon``, else ``~/.config/facerecon``. Makes nothing."""
    if chosen := os.environ.get("FACERECON_CUSTODY"):
        return Path(chosen).absolute()
    try:
        return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser().absolute() / "facerecon"
    except RuntimeError as error:
        raise FaceReconError(
            "this user has no home folder for the signing key: set FACERECON_CUSTODY to a folder"
        ) from error


def make_private(folder: Path) -> None:
    """Make ``folder`` (0700); one that is there must be writable for its owner alone, or anybody could change keys."""
    with told(folder, "not made"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o022:
            raise FaceReconError(f"others may write to {folder}, where the signing key lies: chmod 700 {folder}")


@contextmanager
def told(path: Path, what: str) -> Iterator[None]:
    """Tell the system's errors in one line: what was not done with ``path``, and why."""
    try:
        yield
    except OSError as error:
        raise FaceReconError(
            f"{path}: {what} ({error.strerror}): make it usable, or set FACERECON_CUSTODY to another folder"
        ) from error


def sync_folder(folder: Path) -> None:
    """Have the disk keep which files lie in ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
