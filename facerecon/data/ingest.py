"""From a folder of photographs to a manifest: hashed, without duplicates, split by identity."""

import hashlib
import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from facerecon.data.account import Class, counted, unit_of
from facerecon.data.containers import MEMBER, read_bytes
from facerecon.data.known import KnownFiles, state_of
from facerecon.data.listing import kind_of, walk
from facerecon.data.manifest import PHOTO_COLUMNS, SPLITS, Manifest, SourceRoot
from facerecon.data.people import names_alike, person_name
from facerecon.data.quarantine import Code, Refusal, quarantine_table, refusal_of
from facerecon.data.settings import DataSettings, sources_of
from facerecon.data.sources import PassedOver, Photo, SourceContext, source_of
from facerecon.data.splits import split_of
from facerecon.data.tombstones import FORGOTTEN, Tombstones, clip_fact, photo_fact, remove_kept, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_bytes
from facerecon.formats import Kind
from facerecon.images import UnreadableImageError, check_header
from facerecon.marks import is_marked_picture
from facerecon.progress import track
from facerecon.randomness import unit_interval

LOG = logging.getLogger(__name__)

_AT_ONCE = 1024

_SOURCE, _CLIP = PHOTO_COLUMNS.index("source"), PHOTO_COLUMNS.index("clip")

_SEEN_IN_TRAIN = Refusal(Code.LEFT_EVALUATION, "left the evaluation: is somebody in train, too")

DRAWN = {DataSettings().path: "make demo", "data/ci": "make smoke"}
"""The folders of faces that the project draws itself, and the commands that do."""


def source_root(data: DataSettings, project: Path) -> Path:
    """The folder that the settings name; relative paths start at ``project``.

    Raises:
        FaceReconError: it is missing or no folder.
    """
    root = project / Path(data.path).expanduser()
    prepare = source_of(data.source).prepare
    if prepare is not None and data.draw is not None:
        root.mkdir(parents=True, exist_ok=True)
        prepare(root, data)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        command = DRAWN.get(data.path)
        hint = f" (`{command}` draws faces there)" if command else ""
        raise FaceReconError(f"data.path: {root} {what}: give a folder of images{hint}")
    return root


def source_fingerprint(data: DataSettings | tuple[DataSettings, ...], project: Path) -> str:
    """A digest of names, sizes and modification times under each root, and of what is forgotten: changes when the
    photos that may be used may have changed."""
    sources = sources_of(data)
    if len(sources) > 1:
        return digest_of({source.label: source_fingerprint(source, project) for source in sources})
    source, root = sources[0], source_root(sources[0], project)
    fingerprint = hashlib.sha256(Tombstones.read(project).digest.encode())
    for entry in walk(root, source.follow_links, source.exclude):
        try:
            state = entry.path.stat()
            # what is passed over is counted, not read
            change = "" if entry.system else f"{state.st_size}\0{state.st_mtime_ns}"
        except OSError as error:
            change = str(error.strerror)  # a broken link, say: ``ingest`` puts it on the quarantine list
        fingerprint.update(os.fsencode(f"{entry.path.relative_to(root).as_posix()}\0{change}\n"))
    return fingerprint.hexdigest()


def ingest(data: DataSettings | tuple[DataSettings, ...], project: Path, frames: Path) -> Manifest:
    """Read every new photo of the sources once and list those that can be used, as far as their first bytes tell.

    A photo that cannot be read, or whose bytes were seen before, goes to the quarantine list with its code and reason.
    A photo of a person not named is its own identity (by content). ``frames`` is where a source keeps what it takes
    out of videos; a list there says which photos were read before and need not be read again. What ``project`` has a
    tombstone for is refused; a forgotten track is passed over, and what a source has taken out of a clip anew is
    removed again.

    Of several sources, in whatever order they are given, the one whose name comes first keeps a photo that others have
    too. A person's split is a hash of the name that the source gives, whatever the source is: who is called alike in
    two sources is in one split, be it one person or two, so that nobody can come into two. Identities of one name are
    one where both sources say ``shared_names``; else each has its source's name before it. Where one source has an
    official partition, people of that name keep to it in all. What one source has withdrawn from the evaluation, in
    whichever source it is, is refused outside train.

    Raises:
        FaceReconError: a folder is missing, holds no image, or there is no image that can be read; or the official
            partitions of two sources put people of one name into different splits.
    """
    sources = {source.label: source for source in sorted(sources_of(data), key=lambda source: source.label)}
    roots = {label: source_root(source, project) for label, source in sources.items()}
    photos: list[tuple[str, Photo]] = []
    passed_over: list[tuple[str, str, str]] = []
    refused: list[tuple[str, str, Refusal]] = []
    for label, source in sources.items():
        listed = _listed(source, roots[label], frames)
        photos += [(label, photo) for photo in listed.photos]
        passed_over += [(label, *row) for row in listed.passed_over]
        refused += [(label, _printable(uri), refusal) for uri, refusal in listed.refused]
    several = len(sources) > 1
    allowed = _allowed(photos) if several else {}
    moved: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    first_with: dict[str, tuple[str, str]] = {}
    tombstones = Tombstones.read(project)
    graveyards = {root: _Graveyard(tombstones, root) for root in roots.values()}
    taken_out, whole, clips = [], set(), set[tuple[str, str]]()
    withdrawn = frozenset[str]().union(*(_withdrawn(source, roots[label]) for label, source in sources.items()))
    known = {root: KnownFiles(frames, root) for root in roots.values()}
    located = [(roots[label], photo) for label, photo in photos]
    examined = track(_examine_all(located, frames, known), "reading photos", len(photos))
    for (label, photo), (sha256, refusal) in zip(photos, examined, strict=True):
        if what := graveyards[roots[label]].holds(photo, sha256):
            taken_out.append(photo.file)
            if what == "clip":
                whole.add(frames / photo.file.partition(MEMBER)[0])
            if what == "track":
                clips.add((label, photo.clip))
                continue
            row = (label, _printable(photo.clip or photo.uri), Refusal(Code.FORGOTTEN, FORGOTTEN))
            if refused[-1:] != [row]:
                refused.append(row)
            continue
        if not refusal and sha256 in first_with:
            where, of = first_with[sha256]
            refusal = Refusal(Code.DUPLICATE, f"duplicate of {of}" + (f" in {where}" if where != label else ""))
        if refusal:
            refused.append((label, _printable(photo.uri), refusal))
            continue
        first_with[sha256] = (label, photo.uri)
        name = person_name(photo.identity) or f"unnamed-{sha256[:16]}"
        may_be = allowed.get(name, photo.splits)
        split = split_of(name, sources[label].splits, may_be)
        if sha256 in withdrawn and split != "train":
            refused.append((label, _printable(photo.uri), _SEEN_IN_TRAIN))
            continue
        own = several and photo.identity and not sources[label].shared_names
        identity = f"{label}:{name}" if own else name
        named_before = photo.identity or name
        if named_before != name and split != split_of(named_before, sources[label].splits, may_be):
            moved[identity] = moved.get(identity, 0) + 1
        shown = (photo.clip, photo.track, photo.frame, photo.time, photo.file, *(photo.anchor or (math.nan, math.nan)))
        rows.append((sha256, photo.uri, sha256, label, identity, split, photo.licence, *shown))
    clips -= {(row[_SOURCE], row[_CLIP]) for row in rows} | {(label, unit_of(uri)) for label, uri, _ in refused}
    passed_over += [(label, Class.QUARANTINED, Code.FORGOTTEN.meaning) for label, _ in clips]
    for archive in whole:
        archive.unlink(missing_ok=True)
    remove_kept(frames, filter(None, taken_out))
    for read in known.values():
        read.write()
    _tell_of_names({person_name(photo.identity) for _, photo in photos if photo.identity}, moved)
    if not rows:
        raise FaceReconError(
            f"data.path: none of the {len(photos)} images under {', '.join(map(str, roots.values()))} can be read "
            f"(first: {refused[0][1]}: {refused[0][2].reason}): give a folder of photos"
        )
    return Manifest(
        faces=pd.DataFrame(rows, columns=list(PHOTO_COLUMNS)),
        sources={
            label: SourceRoot(source.source, str(roots[label]), source.aligned or "")
            for label, source in sources.items()
        },
        quarantine=quarantine_table(refused),
        frames=str(frames),
        passed_over=counted(passed_over),
        moved=tuple(sorted(moved)),
    )


def _tell_of_names(names: set[str], moved: dict[str, int]) -> None:
    """Warn of names that differ only by case, and of people, with their photos, who changed split by their names."""
    if alike := names_alike(names):
        LOG.warning("names that differ only by case are different people: %s", "; ".join(map(" and ".join, alike)))
    if moved:
        LOG.warning(
            "%d people are in another split than before, for names are compared composed and without blanks at their "
            "ends: %s; no champion is measured on them",
            len(moved),
            ", ".join(f"{name} ({photos} photos)" for name, photos in sorted(moved.items())),
        )


@dataclass(frozen=True)
class _Listed:
    """The photos of a source in order of their uris; (class, kind) of files passed over; what is refused, by uri."""

    photos: list[Photo]
    passed_over: list[tuple[str, str]]
    refused: list[tuple[str, Refusal]]


def _listed(source: DataSettings, root: Path, frames: Path) -> _Listed:
    """What lies under a root; with ``max_faces`` so many of the photos, chosen by hash."""
    layout, photos, passed_over = source_of(source.source), list[Photo](), list[tuple[str, str]]()
    counted_by_source = set()
    entries = tuple(walk(root, source.follow_links, source.exclude))
    for found in layout.photos(root, SourceContext(source, frames, (root, entries))):
        if isinstance(found, PassedOver):
            passed_over.append((found.of, found.kind))
            counted_by_source.add(found.uri)
        else:
            photos.append(found)
    refused = []
    units = {photo.clip or photo.uri for photo in photos}
    archives = {unit.partition(MEMBER)[0] for unit in units if MEMBER in unit}
    known, folders = units | counted_by_source, set[str]()
    below = len(root.as_posix().rstrip("/")) + 1
    for entry in entries:
        uri = entry.path.as_posix()[below:]
        if uri in known:
            continue
        if entry.refused:
            refused.append((uri, entry.refused))
        elif entry.system:
            passed_over.append((Class.SYSTEM, ""))
        elif clip := next((str(above) for above in PurePosixPath(uri).parents if str(above) in units), ""):
            if clip in folders:
                passed_over.append((Class.FRAME, ""))
            folders.add(clip)  # the clip itself stands for one of its frames
        else:
            of, kind, refusal = _unlisted(uri, entry.path, source, root, archives)
            if refusal:
                refused.append((uri, refusal))
            else:
                passed_over.append((of, kind))
    if not photos and not layout.may_be_empty:
        first = f" (first: {refused[0][0]}: {refused[0][1].reason})" if refused else ""
        raise FaceReconError(
            f"data.path: {root} holds nothing that the source '{source.source}' reads{first}: give a folder of photos"
        )
    photos.sort(key=lambda photo: photo.uri)
    if source.max_faces is not None and source.max_faces < len(photos):
        chosen = sorted(photos, key=lambda photo: unit_interval("keep", _printable(photo.uri)))[: source.max_faces]
        photos = sorted(chosen, key=lambda photo: photo.uri)
        beyond = units - {photo.clip or photo.uri for photo in photos}
        passed_over += [(Class.BEYOND, "")] * len(beyond)
    return _Listed(photos, passed_over, refused)


def _unlisted(
    uri: str, path: Path, source: DataSettings, root: Path, archives: set[str]
) -> tuple[Class, str, Refusal | None]:
    """The class and kind of a file that is no photo of its source, or why it is refused."""
    if uri in archives:
        return Class.ARCHIVE, "", None
    layout = source_of(source.source)
    if layout.beside and layout.beside(root, uri):
        return Class.LIST, "", None
    match kind_of(path):
        case None:
            return Class.OTHER, path.suffix.lower(), None
        case Kind.PICTURE if not layout.pictures:
            return Class.OTHER, "", _elsewhere("a picture", source, "folder")
        case Kind.PICTURE:
            return Class.OTHER, "", Refusal(Code.NOT_LISTED, f"not in the list: '{source.source}' names no such photo")
        case Kind.CLIP:
            return Class.OTHER, "", _elsewhere("a clip", source, "footage")
        case _:
            return Class.OTHER, "", _elsewhere("an archive", source, "archive")


def _elsewhere(what: str, source: DataSettings, other: str) -> Refusal:
    reason = f"{what} among the files of '{source.source}': give it a source '{other}' of its own"
    return Refusal(Code.UNSUPPORTED, reason)


def _withdrawn(source: DataSettings, root: Path) -> frozenset[str]:
    asked = source_of(source.source).withdrawn
    return asked(root) if asked else frozenset()


def _allowed(photos: list[tuple[str, Photo]]) -> dict[str, tuple[str, ...]]:
    """Of each name of a person the splits that the partitions of all sources allow."""
    allowed: dict[str, tuple[str, ...]] = {}
    for label, photo in photos:
        if photo.identity is None:
            continue
        name = person_name(photo.identity)
        before = allowed.get(name, SPLITS)
        allowed[name] = tuple(split for split in before if split in photo.splits)
        if not allowed[name]:
            raise FaceReconError(
                f"data: '{name}' may be in {', '.join(before)} alone by another source, and in "
                f"{', '.join(photo.splits)} alone by the partition of '{label}': leave out one of the two sources"
            )
    return allowed


class _Graveyard:
    """The tombstones, asked about photos under ``root``; clips are read for it once, if anything is forgotten."""

    def __init__(self, tombstones: Tombstones, root: Path) -> None:
        self._tombstones, self._root = tombstones, root
        self._clips: dict[str, str] = {}

    def holds(self, photo: Photo, sha256: str) -> str:
        """What of the photo is forgotten: "photo", its "clip", its "track" in the clip; "" if nothing is."""
        if not self._tombstones.groups:
            return ""
        if photo.clip and (clip := self._clip(photo.clip)):
            if self._tombstones.hold(clip_fact(clip)):
                return "clip"
            if self._tombstones.hold(track_fact(clip, photo.clip, photo.track)):
                return "track"
        if sha256 and self._tombstones.hold(photo_fact(sha256)):
            return "track" if photo.clip else "photo"
        return ""

    def _clip(self, clip: str) -> str:
        if clip not in self._clips:
            # imported when it is used: it brings the video decoder
            from facerecon.data.footage.decode import UnusableClipError, clip_digest

            try:
                self._clips[clip] = clip_digest(self._root / clip)
            except (OSError, UnusableClipError):
                self._clips[clip] = ""
        return self._clips[clip]


def _examine_all(
    photos: list[tuple[Path, Photo]], frames: Path, known: dict[Path, KnownFiles]
) -> Iterator[tuple[str, Refusal | None]]:
    """``_examine`` of each photo under its root, in order, by threads; only so many wait at a time, of however many."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(photos), _AT_ONCE):
            part = photos[start : start + _AT_ONCE]
            yield from pool.map(lambda located: _examine(located[0], frames, located[1], known[located[0]]), part)


def _printable(name: str) -> str:
    """``name`` with what is not valid UTF-8 in it (a stray byte that the file system kept) written as ``\\udc..``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _examine(root: Path, frames: Path, photo: Photo, known: KnownFiles) -> tuple[str, Refusal | None]:
    """The SHA-256 of a photo's bytes, or why it cannot be used."""
    if _printable(photo.uri) != photo.uri:
        return "", Refusal(Code.BAD_NAME, "its name is not valid UTF-8")
    if photo.refused:
        return "", photo.refused
    state = None if photo.file else state_of(root / photo.uri)
    if sha256 := known.find(state):
        return sha256, None
    try:
        content = read_bytes(frames, photo.file) if photo.file else read_bytes(root, photo.uri)
        check_header(content)
    except (OSError, UnreadableImageError) as error:
        return "", refusal_of(error)
    if is_marked_picture(content):
        return "", Refusal(Code.RECONSTRUCTED, "made by a network, as its mark says")
    sha256 = sha256_bytes(content)
    known.add(state, sha256)
    return sha256, None
