"""Files that are whole or absent, and their digests."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facerecon.errors import FaceReconError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEMPORARY = ".unfinished-"
"""How the names of files begin that are being written."""


@contextmanager
def atomic_path(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; on success it is synced and renamed to ``path``.

    On any exception the temporary file is removed and ``path`` stays as it was. The temporary name keeps the
    suffix, because encoders choose the format by it. Until it is whole only its owner can read it, then ``mode`` says.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{TEMPORARY}{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(mode)
            sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FaceReconError(
                f"{path}: not written, no space is left in {path.parent}: free some and run again, nothing is lost"
            ) from error
        raise


def sync_file(path: Path) -> None:
    """Have the disk keep what was written to a file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def remove_temporary(folder: Path) -> None:
    """Remove what killed processes left half-written in ``folder``; only for who knows that none is writing there."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` (UTF-8) to ``path`` in one step: a reader sees the old file or the new one."""
    with atomic_path(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write ``value`` as strict JSON (sorted keys, no NaN or Infinity) in one step."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", mode)


def sha256_bytes(content: bytes) -> str:
    """The hexadecimal SHA-256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of the file at ``path``, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """``value`` as JSON of one form: sorted keys, no spaces, ASCII; no NaN or Infinity. Equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(value: Any) -> str:
    """The hexadecimal SHA-256 of ``value`` as canonical JSON: equal values, equal digests."""
    return sha256_bytes(canonical_json(value))


def arrays_digest(arrays: Mapping[str, "NDArray[Any]"]) -> str:
    """A digest of named arrays: their names, types, shapes and bytes; "" of none."""
    about = {name: [str(one.dtype), list(one.shape), sha256_bytes(one.tobytes())] for name, one in arrays.items()}
    return digest_of(about) if about else ""
