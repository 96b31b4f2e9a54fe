"""Taking photos out of archives: each is written anew beside itself and renamed, so that a kill loses nothing."""

import copy
import shutil
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path, PurePosixPath

from facerecon.data.forget.beside import notes_of
from facerecon.data.forget.places import behind_link, remove_file, shown_path
from facerecon.data.tars import BROKEN, tar_members, write_without
from facerecon.files import atomic_path, remove_temporary
from facerecon.images import UnreadableImageError

_BROKEN = (*BROKEN, zipfile.BadZipFile, zlib.error, RuntimeError, UnreadableImageError)


def remove_members(path: Path, members: set[str], root: Path, project: Path) -> list[str]:
    """Write a zip or tar archive anew without ``members``, what was written beside them, and folders left empty.

    An archive in which no file is left goes as a whole. Returns a line if the members are still there.
    """
    shown = shown_path(path, project)
    if link := behind_link(path, project):
        return [f"{shown}: lies behind the link {shown_path(link, project)}, remove {len(members)} photos in it there"]
    try:
        remove_temporary(path.parent)
        emptied = (_from_zip if path.suffix.lower() == ".zip" else _from_tar)(path, members)
    except _BROKEN as error:
        return [f"{shown}: {len(members)} photos in it cannot be removed: {error}"]
    return remove_file(path, root, project) if emptied else []


def _from_zip(path: Path, members: set[str]) -> bool:
    """Write a zip without the members; whether no file is left, and the archive is to go itself."""
    with zipfile.ZipFile(path) as old:
        entries = old.infolist()
        files = {info.filename for info in entries if not info.is_dir()}
        going = _going(files, {info.filename for info in entries if info.is_dir()}, members)
        if not going or going >= files:
            return bool(going)
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as new:
            new.comment = old.comment
            for info in entries:
                if info.filename not in going:
                    with old.open(info) as source, new.open(copy.copy(info), "w") as sink:
                        shutil.copyfileobj(source, sink)
    return False


def _from_tar(path: Path, members: set[str]) -> bool:
    """As ``_from_zip``, of a tar; a hard link to a member that goes has nothing to point to any more, and goes too."""
    entries = [
        (member.name, member.isdir(), member.linkname if member.islnk() else "", span)
        for _, member, _, span in tar_members(path)
    ]
    files = {name for name, folder, _, _ in entries if not folder}
    links = {name for name, _, target, _ in entries if target in members}
    going = _going(files, {name for name, folder, _, _ in entries if folder}, members | links)
    if not going or going >= files:
        return bool(going)
    write_without(path, [span for name, _, _, span in entries if name in going])
    return False


def _going(files: set[str], folders: set[str], members: set[str]) -> set[str]:
    """Of an archive's files and folders those that go with ``members``, by ``notes_of``; none if no member is there."""
    inside: defaultdict[PurePosixPath, dict[str, str]] = defaultdict(dict)
    for name in files:
        inside[PurePosixPath(name).parent][PurePosixPath(name).name] = name
    going = _with_doubles(members, files)
    for folder in {PurePosixPath(name).parent for name in going}:
        names = inside[folder]
        photos = {short for short, name in names.items() if name in going}
        going |= {names[short] for short in notes_of(set(names), photos, folder == PurePosixPath())}
    going = _with_doubles(going, files)
    left = {folder for name in files - going for folder in PurePosixPath(name).parents}
    emptied = {folder for name in going for folder in PurePosixPath(name).parents} - left
    return going | {
        name for name in folders if emptied.intersection((PurePosixPath(name), *PurePosixPath(name).parents))
    }


def _with_doubles(names: set[str], files: set[str]) -> set[str]:
    """Of the ``names`` those that are there, and what macOS puts beside them into archives: small pictures of them."""
    beside = [PurePosixPath(name).parent / f"._{PurePosixPath(name).name}" for name in names]
    return files & {*names, *map(str, beside), *(f"__MACOSX/{path}" for path in beside)}
