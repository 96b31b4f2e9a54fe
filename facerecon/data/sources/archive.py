"""Image archives (zip, tar): each holds folders of images, of which one names the person, as in ``folder``.

The folders of all archives are taken together: the same name in two archives is the same person. Zip archives are read
in place; a tar archive, in which nothing can be found without reading all before it, is packed anew once, as a zip
without compression in the context's folder. What is an archive, and what in it is a picture, is told by names or else
by content.
"""

import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from re import Pattern

from facerecon.data import containers
from facerecon.data.account import Class
from facerecon.data.containers import MEMBER, member_head, path_refusal, read_bytes, readable, readable_names, write_zip
from facerecon.data.listing import exclusion, kind_by_content, kind_by_name, kind_of
from facerecon.data.people import named_by_folders
from facerecon.data.quarantine import Code, Refusal, refusal_of
from facerecon.data.sources import PassedOver, Photo, SourceContext, register_source
from facerecon.data.tars import BROKEN, tar_members
from facerecon.data.tombstones import FORGOTTEN
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_file
from facerecon.formats import HEAD_BYTES, Kind, format_of, head_of
from facerecon.images import UnreadableImageError

VERSION = 2
"""Part of a repacked archive's name: one that was packed in another way is packed anew."""

_INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class _Member:
    """A member: its ``name`` as the archive has it and ``path`` as it reads; ``kind`` by name or content, None of what
    is no picture, clip or archive; ``file`` where it lies in the context's folder, "" for in place; why it is
    ``refused``."""

    name: str
    path: PurePosixPath
    kind: Kind | None
    file: str = ""
    refused: str = ""


@register_source(pictures=False)
def archive(root: Path, context: SourceContext) -> Iterator[Photo | PassedOver]:
    """Images in all archives under ``root``; an archive that cannot be read is named with its reason.

    Raises:
        FaceReconError: there is no archive under ``root``, or the folders in them part a data set and name nobody.
    """
    opened: dict[str, list[_Member]] = {}
    found = False
    for path in context.files(root):
        if kind_of(path, Kind.ARCHIVE) is not Kind.ARCHIVE:
            continue
        found = True
        uri = path.relative_to(root).as_posix()
        if path.exists() and not path.is_file():
            yield Photo(uri, refused=Refusal(Code.BAD_ARCHIVE, "archive: not a file"))  # a pipe would be waited for
            continue
        try:
            opened[uri] = _members(path, context)
        except (UnreadableImageError, OSError) as error:
            yield Photo(uri, refused=_refusal_of(error))
    if not found:
        raise FaceReconError(
            f"data.path {root}: no archive (zip, tar, tar.gz, tar.bz2, tar.xz): give the folder that holds it, "
            "or set data.source to 'folder'"
        )
    excluded = exclusion(context.settings.exclude)
    pictures = [
        (uri, member)
        for uri, members in opened.items()
        for member in members
        if member.kind is Kind.PICTURE and not _passed_over(member, excluded)
    ]
    folders = [() if path_refusal(member.name) else member.path.parts[:-1] for _, member in pictures]
    people = named_by_folders(folders, context.settings.identity_level, str(root))
    for (uri, member), person in zip(pictures, people, strict=True):
        code = Code.FORGOTTEN if member.refused == FORGOTTEN else Code.BAD_MEMBER
        refused = Refusal(code, member.refused) if member.refused else None
        yield Photo(f"{uri}{MEMBER}{member.name}", person, file=member.file, refused=refused)
    for uri, members in opened.items():
        yield PassedOver(uri, Class.ARCHIVE)
        for member in members:
            yield from _others(f"{uri}{MEMBER}{member.name}", member, excluded)


def _others(uri: str, member: _Member, excluded: Pattern[str]) -> Iterator[Photo | PassedOver]:
    """What is to be said of a member that is no picture."""
    if _passed_over(member, excluded):
        yield PassedOver(uri, Class.SYSTEM)
    elif member.kind is Kind.ARCHIVE:
        nested = Refusal(Code.BAD_MEMBER, "an archive within an archive: unpack it beside the other")
        yield Photo(uri, refused=nested)
    elif member.kind is Kind.CLIP:
        yield Photo(uri, refused=Refusal(Code.BAD_MEMBER, "a clip in an archive: unpack it, for the source 'footage'"))
    elif member.kind is None:
        yield PassedOver(uri, Class.OTHER, member.path.suffix.lower())


def _passed_over(member: _Member, excluded: Pattern[str]) -> bool:
    return not path_refusal(member.name) and any(excluded.match(part) for part in member.path.parts)


def _refusal_of(error: OSError | UnreadableImageError) -> Refusal:
    refusal = refusal_of(error)
    if refusal.code is Code.UNSUPPORTED:
        return refusal
    reason = (error.strerror or "not readable") if isinstance(error, OSError) else str(error)
    return Refusal(Code.BAD_ARCHIVE, f"archive: {reason}")


def _members(path: Path, context: SourceContext) -> list[_Member]:
    found = format_of(head_of(path))
    if found and found.kind is Kind.ARCHIVE and not found.read:
        raise containers.RefusedError(Code.UNSUPPORTED, f"a format that is not read: {found.name}")
    # a zip archive may have anything before it; what neither its name nor its content calls a tar is read as a zip
    is_tar = found.name != "zip" if found else ".tar" in path.suffixes[-2:]
    return _tar(path, context.folder) if is_tar else _zip(path, context.settings.zip_encoding)


def _zip(path: Path, encoding: str | None) -> list[_Member]:
    return [
        _Member(name, shown, kind_by_name(shown) or kind_by_content(member_head(path, name)))
        for name, shown in ((name, PurePosixPath(shown)) for name, shown in readable_names(path, encoding).items())
    ]


def packed_name(path: Path) -> str:
    """The name of the zip in the context's folder into which a tar archive is packed anew."""
    return f"{digest_of({'tar': sha256_file(path), 'version': VERSION})[:32]}.zip"


def member_name(number: int) -> str:
    """What the tar archive's member of that number, from 1, is called in that zip."""
    return f"{number:06d}"


def _tar(path: Path, folder: Path) -> list[_Member]:
    """The members of a tar archive that is packed anew into ``folder`` unless it was before."""
    packed = folder / packed_name(path)
    if not packed.is_file():
        try:
            write_zip(packed, _unpack(path))
        except (*BROKEN, zipfile.BadZipFile) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # the disk's error, not the archive's
            raise UnreadableImageError(f"no tar archive, or a truncated one: {error}") from error
    index = json.loads(read_bytes(folder, f"{packed.name}{MEMBER}{_INDEX}"))
    shown = readable({name: name for name, *_ in index})
    return [
        _Member(
            name,
            PurePosixPath(shown[name]),
            Kind(kind) if kind else None,
            f"{packed.name}{MEMBER}{file}" if file else "",
            refused,
        )
        for name, file, refused, kind in index
    ]


def _unpack(path: Path) -> Iterator[tuple[str, bytes]]:
    """What is packed anew: the images under names of our own, then the list of [name, our name, reason, kind]."""
    index: dict[str, tuple[str, str, str]] = {}
    for number, member, content, _ in tar_members(path):
        if member.isdir():
            continue
        reason = _refusal(member)
        kind, held = kind_by_name(PurePosixPath(member.name)), b""
        if not reason and kind in (None, Kind.PICTURE):
            held = content()
            kind = kind or kind_by_content(held[:HEAD_BYTES])
        index[member.name] = "", reason if kind is Kind.PICTURE else "", kind or ""
        if held and kind is Kind.PICTURE:
            index[member.name] = member_name(number), "", kind
            yield member_name(number), held
    yield _INDEX, json.dumps([[name, *found] for name, found in index.items()]).encode()


def _refusal(member: tarfile.TarInfo) -> str:
    if reason := path_refusal(member.name):
        return reason
    if member.issym() or member.islnk():
        return "a link in an archive"
    if not member.isreg() or member.issparse():
        return "not a file"
    return f"too large: {member.size} bytes" if member.size > containers.MAX_BYTES else ""
