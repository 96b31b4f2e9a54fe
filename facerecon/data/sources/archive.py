"""Image archives (zip, tar): each holds folders of images, of which the first names the person, as in ``folder``.

A folder in which everything else lies names nobody: it is passed over where each image has a further folder below it.
The same name in two archives is the same person. Zip archives are read in place; a tar archive, in which nothing can
be found without reading all before it, is packed anew once, as a zip without compression in the context's folder.
"""

import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from facerecon.data import containers
from facerecon.data.containers import MEMBER, member_names, path_refusal, read_bytes, write_zip
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import IMAGE_SUFFIXES, Photo, SourceContext, files, register_source
from facerecon.data.tars import BROKEN, tar_members
from facerecon.data.tars import SUFFIXES as TAR_SUFFIXES
from facerecon.data.tombstones import FORGOTTEN
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_file
from facerecon.images import UnreadableImageError

SUFFIXES = (".zip", *TAR_SUFFIXES)

VERSION = 1
"""Part of a repacked archive's name: one that was packed in another way is packed anew."""

_INDEX = "index.json"


@register_source()
def archive(root: Path, context: SourceContext) -> Iterator[Photo]:
    """Images in all archives under ``root``; an archive that cannot be read is named with its reason.

    Raises:
        FaceReconError: there is no archive under ``root``.
    """
    found = False
    for path in files(root):
        if not path.name.lower().endswith(SUFFIXES):
            continue
        found = True
        uri = path.relative_to(root).as_posix()
        if path.exists() and not path.is_file():
            yield Photo(uri, refused=Refusal(Code.BAD_ARCHIVE, "archive: not a file"))  # a pipe would be waited for
            continue
        try:
            yield from _photos(uri, _zip(path) if path.suffix.lower() == ".zip" else _tar(path, context.folder))
        except (UnreadableImageError, OSError) as error:
            reason = (error.strerror or "not readable") if isinstance(error, OSError) else str(error)
            yield Photo(uri, refused=Refusal(Code.BAD_ARCHIVE, f"archive: {reason}"))
    if not found:
        raise FaceReconError(
            f"data.path {root}: no archive ({', '.join(SUFFIXES)}): give the folder that holds it, "
            "or set data.source to 'folder'"
        )


def _zip(path: Path) -> dict[str, tuple[str, str]]:
    """Of each member by name: where it lies in the context's folder, "" for in place, and why it is refused."""
    return dict.fromkeys(member_names(path), ("", ""))


def _photos(uri: str, members: dict[str, tuple[str, str]]) -> Iterator[Photo]:
    paths = {name: PurePosixPath(name.replace("\\", "/")) for name in members}
    shown = {name: path for name, path in paths.items() if not _hidden(path)}
    images = {name: path for name, path in shown.items() if path.suffix.lower() in IMAGE_SUFFIXES}
    usable = [path.parts for name, path in images.items() if not path_refusal(name)]
    passed_over = int(len({parts[0] for parts in usable}) == 1 and all(len(parts) > 2 for parts in usable))
    for name, path in images.items():
        folders = path.parts[passed_over:-1]
        file, reason = members[name]
        refused = Refusal(Code.FORGOTTEN if reason == FORGOTTEN else Code.BAD_MEMBER, reason) if reason else None
        yield Photo(f"{uri}{MEMBER}{name}", folders[0] if folders else None, file=file, refused=refused)
    for name in shown:
        if name.lower().endswith(SUFFIXES):
            nested = Refusal(Code.BAD_MEMBER, "an archive within an archive: unpack it beside the other")
            yield Photo(f"{uri}{MEMBER}{name}", refused=nested)


def _hidden(path: PurePosixPath) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in path.parts)


def packed_name(path: Path) -> str:
    """The name of the zip in the context's folder into which a tar archive is packed anew."""
    return f"{digest_of({'tar': sha256_file(path), 'version': VERSION})[:32]}.zip"


def member_name(number: int) -> str:
    """What the tar archive's member of that number, from 1, is called in that zip."""
    return f"{number:06d}"


def _tar(path: Path, folder: Path) -> dict[str, tuple[str, str]]:
    """As ``_zip``, of a tar archive that is packed anew into ``folder`` unless it was before."""
    packed = folder / packed_name(path)
    if not packed.is_file():
        try:
            write_zip(packed, _unpack(path))
        except (*BROKEN, zipfile.BadZipFile) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # the disk's error, not the archive's
            raise UnreadableImageError(f"no tar archive, or a truncated one: {error}") from error
    index = json.loads(read_bytes(folder, f"{packed.name}{MEMBER}{_INDEX}"))
    return {name: (f"{packed.name}{MEMBER}{file}" if file else "", refused) for name, file, refused in index}


def _unpack(path: Path) -> Iterator[tuple[str, bytes]]:
    """What is packed anew: the images under names of our own, then the list of [name, our name, reason]."""
    index: dict[str, tuple[str, str]] = {}
    for number, member, content, _ in tar_members(path):
        if PurePosixPath(member.name).suffix.lower() not in IMAGE_SUFFIXES:
            if member.name.lower().endswith(SUFFIXES):
                index[member.name] = "", ""
            continue
        reason = _refusal(member)
        index[member.name] = "" if reason else member_name(number), reason
        if not reason:
            yield member_name(number), content()
    yield _INDEX, json.dumps([[name, *found] for name, found in index.items()]).encode()


def _refusal(member: tarfile.TarInfo) -> str:
    if reason := path_refusal(member.name):
        return reason
    if member.issym() or member.islnk():
        return "a link in an archive"
    if not member.isreg() or member.issparse():
        return "not a file"
    return f"too large: {member.size} bytes" if member.size > containers.MAX_BYTES else ""
