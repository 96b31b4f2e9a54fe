"""What lies under a root: every file once, system and hidden ones told apart, links followed as far as is safe."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import Path, PurePath

from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import SYSTEM_NAMES
from facerecon.errors import FaceReconError
from facerecon.formats import Kind, format_of, head_of

PICTURE_SUFFIXES = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg"),
        *(".jpf", ".jpg", ".jpx", ".mpo", ".png", ".tif", ".tiff", ".webp"),
    }
)

CLIP_SUFFIXES = frozenset(
    {
        *(".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".dav", ".flv", ".h264", ".h265", ".m2ts", ".m4v", ".mkv"),
        *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"),
    }
)
"""Not ``.ts``, which programs are named, too."""

_OTHER_KINDS = {
    Kind.CLIP: CLIP_SUFFIXES,
    Kind.ARCHIVE: frozenset({".7z", ".rar", ".tar", ".tbz", ".tbz2", ".tgz", ".txz", ".zip"}),
}

_HOLDS_NO_PICTURES = frozenset({".apk", ".jar", ".npz", ".onnx", ".pt", ".pth", ".safetensors", ".whl"})
"""Files of programs, some of which are zip archives inside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file under a root, or a link to a folder that is not followed, which is ``refused``.

    ``system`` files are passed over: they or a folder above them bear a name that is excluded.
    """

    path: Path
    system: bool = False
    refused: Refusal | None = None


def walk(
    root: Path, follow_links: bool = False, exclude: tuple[str, ...] = SYSTEM_NAMES, refuse_folders: bool = False
) -> Iterator[Entry]:
    """All entries under ``root`` in a fixed order, links to folders followed once each.

    A link to a folder that leads out of the root is followed with ``follow_links``; one to a folder that is being read
    or that a link has led to before is refused, so that no loop has an end but the first.

    Raises:
        FaceReconError: a folder cannot be read: its photos must not be missing unnoticed. With ``refuse_folders`` those
            below the root are refused instead.
    """
    links = _Links(root.resolve(), follow_links, set(), refuse_folders)
    yield from _walk(root, links, exclusion(exclude), False)


@lru_cache
def exclusion(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the names of files and folders that are passed over; ``patterns`` are as the shell's, in any case."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)", re.IGNORECASE)


def kind_of(path: Path, unreadable: Kind | None = None) -> Kind | None:
    """What a file is by its name or else by its content; None for what is no picture, clip or archive by either.

    What cannot be read is taken for what the caller reads (``unreadable``), and so refused: nobody knows what it is.
    """
    if (named := kind_by_name(path)) or path.suffix.lower() in _HOLDS_NO_PICTURES:
        return named
    try:
        return kind_by_content(head_of(path)) if path.is_file() else None  # a pipe would be waited for
    except OSError:
        return unreadable


def kind_by_name(path: PurePath) -> Kind | None:
    """What a file's suffix says."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return Kind.PICTURE
    if any(inner == ".tar" for inner in path.suffixes[-2:]):
        return Kind.ARCHIVE
    return next((kind for kind, suffixes in _OTHER_KINDS.items() if suffix in suffixes), None)


def kind_by_content(head: bytes) -> Kind | None:
    """What a file's first bytes say."""
    found = format_of(head)
    return None if found is None or found.kind is Kind.DOCUMENT else found.kind


@dataclass(frozen=True)
class _Links:
    root: Path
    follow: bool
    followed: set[Path]
    refuse_folders: bool

    def refusal(self, link: Path) -> Refusal | None:
        """Why the folder that ``link`` leads to is not read; notes it as read if it is."""
        target, folder = link.resolve(), link.parent.resolve()
        if folder.is_relative_to(target) or target in self.followed:
            return Refusal(Code.DUPLICATE, "a link to a folder that is read already")
        if not self.follow and not target.is_relative_to(self.root):
            return Refusal(Code.OUT_OF_ROOT, "leads out of the root: set data.follow_links")
        self.followed.add(target)
        return None


def _walk(folder: Path, links: _Links, exclude: re.Pattern[str], system: bool) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if system:
            return  # what a system keeps for itself, as lost+found
        if links.refuse_folders and folder.resolve() != links.root:
            yield Entry(folder, refused=Refusal(Code.UNREADABLE, f"a folder that cannot be read: {error.strerror}"))
            return
        raise FaceReconError(
            f"data.path: folder {error.filename} cannot be read: {error.strerror}: mend its permissions"
        ) from error
    folders = []
    for entry in entries:
        passed = system or exclude.match(entry.name) is not None
        if _leads_to_folder(entry):
            folders.append((entry, passed))
        else:
            yield Entry(folder / entry.name, passed)
    for entry, passed in folders:
        path = folder / entry.name
        if not entry.is_symlink():
            yield from _walk(path, links, exclude, passed)
        elif not passed:
            if refused := links.refusal(path):
                yield Entry(path, refused=refused)
            else:
                yield from _walk(path, links, exclude, passed)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads in a circle is a broken file
