"""Tar archives, packed or not, read from end to end: nothing is unpacked, and no header is trusted with the memory."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from facerecon.data import containers
from facerecon.files import atomic_path
from facerecon.images import UnreadableImageError

BROKEN = (tarfile.TarError, EOFError, OSError, ValueError, lzma.LZMAError)
"""What reading a damaged archive raises."""

Span = tuple[int, int]
"""First byte of a member, with all its headers, and the first byte after it, in the archive when it is not packed."""

_PACKED: dict[bytes, Callable[[Any, Any], Any]] = {
    b"\x1f\x8b": lambda raw, mode: gzip.GzipFile("", mode, fileobj=raw, mtime=0),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x5d\0\0": partial(lzma.LZMAFile, format=lzma.FORMAT_ALONE),
}
"""By how a file begins: the stream of what is packed, to read ("rb") or to write ("wb")."""


def tar_members(path: Path) -> Iterator[tuple[int, tarfile.TarInfo, Callable[[], bytes], Span]]:
    """The members in their order: number from 1, header, what reads its content (before the next is asked for), place.

    Raises:
        UnreadableImageError: too many entries, or more bytes than a file of its size can hold in earnest.
        tarfile.TarError, EOFError, OSError, ValueError, lzma.LZMAError: a damaged archive (``BROKEN``).
    """
    budget = max(containers.BOMB_BYTES, containers.BOMB_RATIO * path.stat().st_size)
    with _unpacked(path) as stream, tarfile.open(fileobj=cast(Any, _Careful(stream)), mode="r:") as tar:
        number = 0
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            number += 1
            if number > containers.MAX_MEMBERS:
                raise UnreadableImageError(f"more than {containers.MAX_MEMBERS} entries: split it")
            budget -= 0 if member.issparse() else member.size
            if budget < 0:
                raise UnreadableImageError("a decompression bomb: it unpacks to more than a hundred times its size")
            yield number, member, lambda: _content(tar, member), (member.offset, tar.offset)  # at once


def write_without(path: Path, spans: Iterable[Span]) -> None:
    """Write an archive anew without some of its bytes, packed as it was, in one step; ``spans`` in their order.

    All other bytes stay as they are: kinds of members and of headers that Python cannot write are kept.
    """
    with _unpacked(path) as stream, atomic_path(path) as temporary, temporary.open("wb") as raw:
        pack = _PACKED.get(_magic(path))
        packed = pack(raw, "wb") if pack else raw
        for start, end in spans:
            _copy(stream, packed, start - stream.tell())
            stream.seek(end)
        _copy(stream, packed, None)
        if pack:
            packed.close()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None, "asked of regular files"
    return stream.read()


def _magic(path: Path) -> bytes:
    with path.open("rb") as raw:
        start = raw.read(8)
    return next((magic for magic in _PACKED if start.startswith(magic)), b"")


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    pack = _PACKED.get(_magic(path))
    with path.open("rb") as raw:
        yield pack(raw, "rb") if pack else raw


def _copy(source: IO[bytes], sink: IO[bytes], size: int | None) -> None:
    """Copy ``size`` bytes, or all that there are, in blocks."""
    while size is None or size > 0:
        block = source.read(1 << 20 if size is None else min(size, 1 << 20))
        if not block:
            return
        sink.write(block)
        size = None if size is None else size - len(block)


class _Careful:
    """What tarfile reads through: a header that asks for gigabytes (tarfile would fetch them at once) is refused."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.tell, self.seek, self._read = stream.tell, stream.seek, stream.read

    def read(self, size: int) -> bytes:
        """As of any file."""
        if size > containers.MAX_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._read(size)
