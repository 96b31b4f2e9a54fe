"""Photographs as bytes: files, or members of a zip archive.

Where a file lies in an archive its uri is ``archive.zip!/member``. Archives are read in place: nothing is unpacked, so
no name in an archive can lead out of a folder.
"""

import errno
import logging
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath

from facerecon.data.quarantine import Code, RefusedError
from facerecon.files import atomic_path
from facerecon.formats import HEAD_BYTES

LOG = logging.getLogger(__name__)

MEMBER = "!/"

MAX_BYTES = 500_000_000
"""A photo of more bytes is refused."""

_UTF8, _UNICODE_PATH = 0x800, 0x7075

MAX_MEMBERS = 300_000
"""An archive of more entries is refused."""

BOMB_BYTES, BOMB_RATIO = 10_000_000, 100
"""More than so many bytes, packed into less than one in so many: no photograph, which hardly shrinks."""

_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, ValueError, KeyError),
)
"""What zipfile raises over archives that are damaged, or packed in a way that it does not know."""


def read_bytes(root: Path, uri: str) -> bytes:
    """The bytes of the photo ``uri`` under ``root``.

    Raises:
        OSError: the file cannot be read.
        UnreadableImageError: it is too large, or the archive is broken there or holds something else than a file.
    """
    container, inside, member = uri.partition(MEMBER)
    path = root / container
    if not inside or not path.is_file():
        path = root / uri
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise RefusedError(Code.NOT_A_FILE, "not a file")  # a pipe would be waited for, a device read without end
        if state.st_size > MAX_BYTES:
            raise RefusedError(Code.TOO_LARGE, f"too large: {state.st_size} bytes")
        return path.read_bytes()
    archive = _open(path)
    with _judged(Code.BAD_MEMBER, "cannot be read from its archive"):
        info = archive.getinfo(member)
        if reason := _refusal(info):
            raise RefusedError(Code.BAD_MEMBER, reason)
        with archive.open(info) as stream:
            # no more than was announced: a member that lies about its size must not fill the memory
            return stream.read(MAX_BYTES)


def member_names(path: Path) -> list[str]:
    """The names of all files in a zip archive, sorted; of equal ones the last counts, as for all who unpack it.

    Raises:
        OSError: the file cannot be read.
        UnreadableImageError: it is no zip archive, a truncated one, or one of too many entries.
    """
    return sorted({info.filename for info in _open(path).infolist() if not info.is_dir()})


def member_head(path: Path, name: str) -> bytes:
    """The first bytes of a member of a zip archive; none of one that cannot be read."""
    try:
        archive = _open(path)
        with _judged(Code.BAD_MEMBER, "cannot be read from its archive"), archive.open(name) as stream:
            return stream.read(HEAD_BYTES)
    except (RefusedError, OSError):
        return b""


def readable_names(path: Path, encoding: str | None = None) -> dict[str, str]:
    """Of each file's name in a zip archive, as ``member_names`` gives it: how it reads, its folders parted by "/".

    Names are UTF-8 where the archive says so, or has the field for such (0x7075 of the zip specification), or where all
    others can be read so. Others are in ``encoding``; if that is not known, in code page 437, as the specification has
    it: different names stay different, but may read wrong.

    Raises:
        OSError: the file cannot be read.
        UnreadableImageError: as ``member_names``; or the names are not in ``encoding``.
    """
    infos = {info.filename: info for info in _open(path).infolist() if not info.is_dir()}
    said = {name: None if info.flag_bits & _UTF8 else _unicode_field(info) for name, info in infos.items()}
    unsaid = {
        name: info.orig_filename.encode("cp437")
        for name, info in sorted(infos.items())
        if not info.flag_bits & _UTF8 and said[name] is None
    }
    for codec in ("utf-8", encoding or "cp437"):
        try:
            decoded = {name: content.decode(codec) for name, content in unsaid.items()}
            break
        except UnicodeDecodeError as error:
            wrong = error
    else:
        raise RefusedError(Code.BAD_ARCHIVE, f"names in it are not in the encoding {encoding}: {wrong.reason}")
    if codec == "cp437":
        LOG.warning("%s: names in it do not say their encoding: set data.zip_encoding (cp932, gbk ...)", path.name)
    return readable(dict(sorted(({name: said[name] or name for name in infos} | decoded).items())))


def readable(names: Mapping[str, str]) -> dict[str, str]:
    """``names`` with folders parted by "/": a backslash parts them only where no name of the archive has a "/"."""
    if any("/" in name for name in names.values()):
        return dict(names)
    return {name: shown.replace("\\", "/") for name, shown in names.items()}


def _unicode_field(info: zipfile.ZipInfo) -> str | None:
    """The name in a member's field 0x7075, if it has one that belongs to its name."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (checksum,) = struct.unpack_from("<L", field, 1)
            if checksum == zlib.crc32(info.orig_filename.encode("cp437")):
                return field[5:].decode("utf-8", "replace")
    return None


def path_refusal(name: str) -> str:
    """Why no member of an archive may be called ``name``; "" if it may."""
    windows = PureWindowsPath(name)  # which knows both kinds of slash
    if PurePosixPath(name).is_absolute() or windows.anchor:
        return "an absolute path in an archive"
    return "a path that leads out of its archive" if ".." in windows.parts else ""


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, content) pairs as a zip archive in one step, without compression: photographs have theirs.

    Equal members give equal bytes.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why a member is not read; "" if it is."""
    if reason := path_refusal(info.filename):
        return reason
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "a link in an archive" if kind == stat.S_IFLNK else "not a file"
    if info.flag_bits & 1:
        return "encrypted"
    if info.file_size > MAX_BYTES:
        return f"too large: {info.file_size} bytes"
    if info.file_size > max(BOMB_BYTES, BOMB_RATIO * info.compress_size):
        return f"a zip bomb: {info.compress_size} bytes that unpack to {info.file_size}"
    return ""


def _open(path: Path) -> zipfile.ZipFile:
    state = path.stat()
    with _judged(Code.BAD_ARCHIVE, "no zip archive, or a truncated one"):
        return _archive(path, state.st_size, state.st_mtime_ns)


@contextmanager
def _judged(code: Code, what: str) -> Iterator[None]:
    """Whatever zipfile raises over a broken archive becomes the reason why it cannot be used."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:  # which means a place before the file's beginning; all else is the disk's
            raise
        raise RefusedError(code, f"{what}: {error}") from error
    except _BROKEN as error:
        raise RefusedError(code, f"{what}: {error}") from error


@lru_cache(maxsize=4)
def _archive(path: Path, size: int, modified: int) -> zipfile.ZipFile:
    """The open archive; ``size`` and ``modified`` make a changed file a new entry of the cache."""
    entries = _entries(path)
    if entries > MAX_MEMBERS:
        raise RefusedError(
            Code.BAD_ARCHIVE, f"an archive of {entries} entries, at most {MAX_MEMBERS} are read: split it"
        )
    return zipfile.ZipFile(path)


_END, _END64 = b"PK\5\6", b"PK\6\6"
_END_SIZE, _END64_SIZE, _LONGEST_COMMENT = 22, 76, 65_535


def _entries(path: Path) -> int:
    """How many entries a zip archive's directory has, counted in its bytes, before an object is made of each.

    The number that the archive states can be a lie. 0 where there is no directory; zipfile says what is wrong then.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        start = stream.seek(max(0, size - _END64_SIZE - _END_SIZE - _LONGEST_COMMENT))
        tail = stream.read()
        end = tail.rfind(_END)
        if end < 0 or len(tail) < end + _END_SIZE:
            return 0
        length = int(struct.unpack_from("<L", tail, end + 12)[0])
        if end >= _END64_SIZE and tail[end - _END64_SIZE :].startswith(_END64):
            end -= _END64_SIZE
            length = int(struct.unpack_from("<Q", tail, end + 40)[0])
        stream.seek(max(0, start + end - length))
        entries, left = 0, min(length, start + end)
        while left > 0 and entries <= MAX_MEMBERS and (block := stream.read(min(left, 1 << 24))):
            # one that lies across two blocks is not counted: some in a directory that is far too large
            entries, left = entries + block.count(b"PK\1\2"), left - len(block)
        return entries
