"""Finding the photos and frames that are to be forgotten."""

import difflib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from facerecon.data.containers import MEMBER, read_bytes
from facerecon.data.forget.clips import clips_in_inboxes, clips_in_ledgers
from facerecon.data.forget.trace import COLLECTED, Root, Target, TargetKind, Trace
from facerecon.data.listing import kind_of
from facerecon.data.manifest import Manifest
from facerecon.data.people import person_name
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES, Photo, SourceContext, files
from facerecon.data.sources.archive import member_name, packed_name
from facerecon.data.tars import BROKEN, tar_members
from facerecon.data.tombstones import Fact, clip_fact, photo_fact, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.formats import Kind
from facerecon.images import UnreadableImageError

_DECODING = frozenset({"footage", "youtube_faces"})
"""Layouts of videos, which are decoded to say what they hold: of these only manifests are asked."""


def traces_of(
    target: Target,
    manifests: Iterable[Manifest],
    roots: Iterable[Root],
    project: Path,
    frames: Path,
    inboxes: Iterable[Path] = (),
    inbox_state: Path | None = None,
) -> list[Trace]:
    """All photos that ``target`` means, in the manifests and in the folders as they are now.

    In all ``roots`` a photo of equal bytes under another name is one of them. ``frames`` is where sources keep what
    they take out of videos and tar archives, ``inbox_state`` which clips in ``inboxes`` were read. Of collected faces a
    person goes by the ledger's key, a clip by its name in the inbox or its SHA-256.

    Raises:
        FaceReconError: there is none; the line has the closest name that there is.
    """
    found: dict[tuple[Path, str, str], Trace] = {}
    name = person_name(target.name) if target.kind == "identity" else target.name
    known: set[str] = set()
    sizes: set[int] = set()
    roots = [(layout, root) for layout, root in roots if root.is_dir()]
    inboxes, inbox_state, whole = list(inboxes), inbox_state or frames, list[Trace]()
    if target.kind == "clip":
        whole += clips_in_inboxes(name, set(), inboxes, inbox_state)
        whole += clips_in_ledgers({name, *(trace.clip_sha256 for trace in whole)}, roots)
    clips = {trace.clip_sha256 for trace in whole} - {""}
    for candidate in _candidates(manifests, roots, frames):
        names = _names(target.kind, candidate, project)
        if candidate.clip_sha256 in clips:
            names = names | {name}
        known |= names
        if name in names:
            trace, size = _completed(candidate, frames)
            found[trace.path, trace.uri.partition(MEMBER)[2], trace.sha256] = trace
            sizes.add(size)
    clips |= {trace.clip_sha256 for trace in found.values()} - {""}
    whole += clips_in_inboxes("", clips, inboxes, inbox_state) if clips else ()
    if not found and not whole:
        close = difflib.get_close_matches(name, sorted(known), 1)
        hint = f"did you mean {close[0]}?" if close else "names match exactly, as the folders have them"
        raise FaceReconError(f"no photo of {target.kind} '{target.name}' is known: {hint}")
    sha256s = {trace.sha256 for trace in found.values()}
    for trace in _same_bytes(sha256s - {""}, sizes, {root for _, root in roots}, frames):
        found.setdefault((trace.path, trace.uri.partition(MEMBER)[2], trace.sha256), trace)
    return sorted({*found.values(), *whole}, key=lambda trace: (trace.root, trace.uri, trace.sha256))


def _names(kind: TargetKind, trace: Trace, project: Path) -> set[str]:
    if kind == "identity":
        return {person_name(trace.identity), person_name(trace.named)} - {""}
    name = trace.uri if kind == "file" else trace.clip
    return {name, os.path.relpath(Path(trace.root) / name, project)} if name else set()


def _candidates(manifests: Iterable[Manifest], roots: Iterable[tuple[str, Path]], frames: Path) -> Iterator[Trace]:
    for manifest in manifests:
        rows = manifest.faces.drop_duplicates(["uri", "sha256"])
        columns = (rows[name] for name in ("source", "identity", "uri", "sha256", "clip", "track", "file"))
        for source, named, uri, sha256, clip, track, file in zip(*columns, strict=True):
            place, identity = manifest.sources[source].root, manifest.name_in_source(source, named)
            of = _collected_clip(uri) if manifest.sources[source].layout == COLLECTED else ""
            name = "" if named == identity else named
            yield Trace(place, uri, sha256, identity, clip, track, file, clip_sha256=of, named=name)
    for layout, root in roots:
        for photo in _listed(layout, root, frames):
            identity = photo.identity or ""
            if layout != COLLECTED:
                yield Trace(str(root), photo.uri, "", identity, file=photo.file)
                continue
            of, name = _collected_clip(photo.uri), f"{COLLECTED}:{identity}" if identity else ""
            yield Trace(str(root), photo.uri, "", identity, track=photo.track, clip_sha256=of, named=name)


def _collected_clip(uri: str) -> str:
    """The SHA-256 of the clip whose archive holds a collected face."""
    return uri.partition(MEMBER)[0].removesuffix(".zip")


def _listed(layout: str, root: Path, frames: Path) -> Iterator[Photo]:
    if layout in _DECODING or layout not in SOURCES:
        return
    # all that any settings could have read
    settings = DataSettings(source=layout, path=str(root), follow_links=True, identity_level=1)
    try:
        for found in SOURCES[layout].photos(root, SourceContext(settings, frames)):
            if isinstance(found, Photo):
                yield found
    except FaceReconError:
        if layout == COLLECTED:
            raise  # a damaged archive must not hide whom the next ones show
        return  # it holds nothing of this layout


def _completed(trace: Trace, frames: Path) -> tuple[Trace, int]:
    """The trace with the digests that it lacks, and the photo's size in bytes, -1 where it cannot be read."""
    try:
        content = read_bytes(frames, trace.file) if trace.file else read_bytes(Path(trace.root), trace.uri)
    except (OSError, UnreadableImageError):
        content = b""
    sha256 = trace.sha256 or (sha256_bytes(content) if content else "")
    clip_sha256 = _clip_sha256(trace) if trace.clip else trace.clip_sha256
    return replace(trace, sha256=sha256, clip_sha256=clip_sha256), len(content) if content else -1


def _clip_sha256(trace: Trace) -> str:
    """The digest of a frame's clip; of one that is gone, as the name of its archive has it; "" if nothing does."""
    # imported when it is used: it brings the video decoder
    from facerecon.data.footage.decode import UnusableClipError, clip_digest

    try:
        return clip_digest(trace.path)
    except (OSError, UnusableClipError):
        named = re.match(r"[0-9a-f]{64}(?=-)", trace.file)
        return named[0] if named else ""


def _same_bytes(sha256s: set[str], sizes: set[int], roots: Iterable[Path], frames: Path) -> Iterator[Trace]:
    """Files, and members of archives, under ``roots`` with one of the digests; only what has the size is read."""
    for root in sorted(roots):
        for path in files(root):
            uri = path.relative_to(root).as_posix()
            try:
                if path.stat().st_size in sizes and (sha256 := sha256_bytes(read_bytes(root, uri))) in sha256s:
                    yield Trace(str(root), uri, sha256, "")
                if kind_of(path) is not Kind.ARCHIVE or not path.is_file():
                    continue
                if zipfile.is_zipfile(path):
                    yield from _in_zip(root, uri, sha256s, sizes)
                else:
                    yield from _in_tar(root, uri, sha256s, sizes, frames)
            except (*BROKEN, zipfile.BadZipFile, UnreadableImageError):
                continue


def _in_zip(root: Path, uri: str, sha256s: set[str], sizes: set[int]) -> Iterator[Trace]:
    with zipfile.ZipFile(root / uri) as archive:
        names = [info.filename for info in archive.infolist() if info.file_size in sizes]
    for name in names:
        if (sha256 := sha256_bytes(read_bytes(root, f"{uri}{MEMBER}{name}"))) in sha256s:
            yield Trace(str(root), f"{uri}{MEMBER}{name}", sha256, "")


def _in_tar(root: Path, uri: str, sha256s: set[str], sizes: set[int], frames: Path) -> Iterator[Trace]:
    """As ``_in_zip``; where the archive was packed anew, the trace says what the member is called there."""
    found = [
        (number, member.name, sha256)
        for number, member, content, _ in tar_members(root / uri)
        if member.isreg() and member.size in sizes and (sha256 := sha256_bytes(content())) in sha256s
    ]
    packed = packed_name(root / uri) if found else ""
    for number, name, sha256 in found:
        file = f"{packed}{MEMBER}{member_name(number)}" if (frames / packed).is_file() else ""
        yield Trace(str(root), f"{uri}{MEMBER}{name}", sha256, "", file=file)


def facts_of(traces: Iterable[Trace], target: Target) -> set[Fact]:
    """What tombstones are to say: each photo and frame; of footage the tracks, or the whole clip where it is meant."""
    facts: set[Fact] = set()
    for trace in traces:
        if trace.sha256:
            facts.add(photo_fact(trace.sha256))
        if trace.clip_sha256 and target.kind == "clip":
            facts.add(clip_fact(trace.clip_sha256))
        elif trace.clip_sha256 and trace.track and target.kind == "identity":
            facts.add(track_fact(trace.clip_sha256, trace.holder, trace.track))
    return facts
