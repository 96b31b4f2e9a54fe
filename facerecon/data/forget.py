"""Forgetting a person: what a clone's data hold of them, and taking it out of there.

Nothing here knows of an orchestrator: ``ops.forget`` adds what ZenML, MLflow and DVC keep.
"""

import difflib
import glob
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from facerecon.config.data import DataSettings
from facerecon.data.containers import MEMBER, read_bytes
from facerecon.data.images import UnreadableImageError
from facerecon.data.manifest import Manifest
from facerecon.data.sources import IMAGE_SUFFIXES, SOURCES, Photo, Workspace, files
from facerecon.data.store import FaceStore
from facerecon.data.tombstones import Fact, clip_fact, photo_fact, remove_kept, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, remove_temporary, sha256_bytes

Kind = Literal["identity", "file", "clip"]

_DECODING = frozenset({"footage", "youtube_faces"})
"""Sources that decode videos to say what they hold: of these only manifests are asked."""


@dataclass(frozen=True)
class Target:
    """What is to be forgotten: an identity, a file by its uri (or path in the project), or a clip, by exact name."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Trace:
    """A photo, or a frame of a clip, that is to be forgotten; the fields are those of a manifest's row.

    ``sha256`` is "" where the file cannot be read and no manifest knows it, ``clip_sha256`` where it is of no clip.
    """

    root: str
    uri: str
    sha256: str
    identity: str
    clip: str = ""
    track: str = ""
    file: str = ""
    clip_sha256: str = ""

    @property
    def path(self) -> Path:
        """The file that holds it: itself, its archive or its clip."""
        return Path(self.root) / (self.clip or self.uri.partition(MEMBER)[0])


def traces_of(
    target: Target, manifests: Iterable[Manifest], roots: Iterable[tuple[str, Path]], project: Path, frames: Path
) -> list[Trace]:
    """All photos that ``target`` means, in the manifests and in the folders as they are now.

    ``roots`` are (source, data root), with the source "" where only equal bytes are looked for: a photo of equal bytes
    under another name is one of them. ``frames`` is where sources keep what they take out of videos.

    Raises:
        FaceReconError: there is none; the line has the closest name that there is.
    """
    found: dict[tuple[Path, str, str], Trace] = {}
    known: set[str] = set()
    sizes: set[int] = set()
    roots = [(source, root) for source, root in roots if root.is_dir()]
    for candidate in _candidates(manifests, roots, frames):
        names = _names(target.kind, candidate, project)
        known |= names
        if target.name in names:
            trace, size = _completed(candidate, frames)
            found[trace.path, trace.uri.partition(MEMBER)[2], trace.sha256] = trace
            sizes.add(size)
    if not found:
        close = difflib.get_close_matches(target.name, sorted(known), 1)
        hint = f"did you mean {close[0]}?" if close else "names match exactly, as the folders have them"
        raise FaceReconError(f"no photo of {target.kind} '{target.name}' is known: {hint}")
    sha256s = {trace.sha256 for trace in found.values()}
    for trace in _same_bytes(sha256s - {""}, sizes, {root for _, root in roots}):
        found.setdefault((trace.path, trace.uri.partition(MEMBER)[2], trace.sha256), trace)
    return sorted(found.values(), key=lambda trace: (trace.root, trace.uri, trace.sha256))


def _names(kind: Kind, trace: Trace, project: Path) -> set[str]:
    if kind == "identity":
        return {trace.identity} - {""}
    name = trace.uri if kind == "file" else trace.clip
    return {name, os.path.relpath(Path(trace.root) / name, project)} if name else set()


def _candidates(manifests: Iterable[Manifest], roots: Iterable[tuple[str, Path]], frames: Path) -> Iterator[Trace]:
    for manifest in manifests:
        rows = manifest.faces.drop_duplicates(["uri", "sha256"])
        columns = (rows[name] for name in ("uri", "sha256", "identity", "clip", "track", "file"))
        for row in zip(*columns, strict=True):
            yield Trace(manifest.root, *row)
    for source, root in roots:
        for photo in _listed(source, root, frames):
            yield Trace(str(root), photo.uri, "", photo.identity or "", file=photo.file)


def _listed(source: str, root: Path, frames: Path) -> Iterator[Photo]:
    if source in _DECODING or source not in SOURCES:
        return
    try:
        yield from SOURCES[source].photos(root, Workspace(DataSettings(source=source, path=str(root)), frames))
    except FaceReconError:
        return  # it holds nothing of this layout


def _completed(trace: Trace, frames: Path) -> tuple[Trace, int]:
    """The trace with the digests that it lacks, and the photo's size in bytes, -1 where it cannot be read."""
    try:
        content = read_bytes(frames, trace.file) if trace.file else read_bytes(Path(trace.root), trace.uri)
    except (OSError, UnreadableImageError):
        content = b""
    sha256 = trace.sha256 or (sha256_bytes(content) if content else "")
    clip_sha256 = _clip_sha256(trace) if trace.clip else ""
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


def _same_bytes(sha256s: set[str], sizes: set[int], roots: Iterable[Path]) -> Iterator[Trace]:
    """Files, and members of zip archives, under ``roots`` with one of the digests; only what has the size is read."""
    for root in sorted(roots):
        for path in files(root):
            uri = path.relative_to(root).as_posix()
            try:
                uris = [uri] if path.stat().st_size in sizes else []
                if path.suffix.lower() == ".zip":
                    with zipfile.ZipFile(path) as archive:
                        members = [info.filename for info in archive.infolist() if info.file_size in sizes]
                    uris += [f"{uri}{MEMBER}{name}" for name in members]
                for one in uris:
                    if (sha256 := sha256_bytes(read_bytes(root, one))) in sha256s:
                        yield Trace(str(root), one, sha256, "")
            except (OSError, zipfile.BadZipFile, UnreadableImageError):
                continue


def facts_of(traces: Iterable[Trace], target: Target) -> set[Fact]:
    """What tombstones are to say: each photo and frame; of footage the tracks, or the whole clip where it is meant."""
    facts: set[Fact] = set()
    for trace in traces:
        if trace.sha256:
            facts.add(photo_fact(trace.sha256))
        if trace.clip_sha256 and target.kind == "clip":
            facts.add(clip_fact(trace.clip_sha256))
        elif trace.clip_sha256 and target.kind == "identity":
            facts.add(track_fact(trace.clip_sha256, trace.clip, trace.track))
    return facts


def files_of(traces: Iterable[Trace], target: Target) -> list[Path]:
    """The files that go, or are written anew without their part: photos, what lies beside them, archives, clips."""
    found: set[Path] = set()
    traces = list(traces)
    for trace in traces:
        if not trace.clip:
            found |= {trace.path, *_beside(trace, traces)} if MEMBER not in trace.uri else {trace.path}
        elif target.kind == "clip":
            found |= {path for path in trace.path.rglob("*") if path.is_file()} if trace.path.is_dir() else {trace.path}
    return sorted(found)


def _beside(trace: Trace, traces: list[Trace]) -> list[Path]:
    """What was written down about a photo: files of its name in its folder that are no photos.

    Below the root, all files are meant that are no photos if no photo is left in the folder: it was the person's own.
    """
    path, folder = trace.path, trace.path.parent
    going = {other.path for other in traces}
    photos = [one for one in folder.glob("*") if one.suffix.lower() in IMAGE_SUFFIXES]
    own = folder != Path(trace.root) and going.issuperset(photos)
    same = folder.glob("*" if own else f"{glob.escape(path.stem)}.*")
    return [one for one in same if one not in going and one.is_file() and one.suffix.lower() not in IMAGE_SUFFIXES]


def remove_photos(traces: Iterable[Trace], target: Target, project: Path) -> list[str]:
    """Remove the photos from the data: files with those beside them, members of zip archives, a clip where it is meant.

    What lies behind a link, or cannot be written, is left as it is. An empty folder that is left goes too: its name
    may be a person's. Returns a line for each thing that is still there.
    """
    left: list[str] = []
    archives: dict[Path, list[str]] = {}
    traces = list(traces)
    for trace in traces:
        if trace.clip and target.kind != "clip":
            continue
        if not trace.clip and MEMBER in trace.uri:
            archives.setdefault(trace.path, []).append(trace.uri.partition(MEMBER)[2])
            continue
        for path in [] if trace.clip else _beside(trace, traces):
            left += _remove_file(path, trace, project)
        left += _remove_file(trace.path, trace, project)
    for path, members in archives.items():
        if path.exists():
            left += _remove_members(path, set(members), project)
    return sorted(set(left))


def clips_left(traces: Iterable[Trace], target: Target) -> list[Path]:
    """Clips that still show who is to be forgotten, because only frames of them go."""
    shown = {trace.path for trace in traces if trace.clip and target.kind != "clip"}
    return sorted(path for path in shown if path.exists())


def shown_path(path: Path, project: Path) -> str:
    """``path`` as people know it: from the project's root where it lies there."""
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def behind_link(path: Path, project: Path) -> Path | None:
    """The link by which ``path`` leads to another place, None where it leads through none."""
    top = project if path.is_relative_to(project) else path.parent
    return next((folder for folder in path.parents if folder.is_relative_to(top) and folder.is_symlink()), None)


def _remove_file(path: Path, trace: Trace, project: Path) -> list[str]:
    if not os.path.lexists(path):
        return []
    shown = shown_path(path, project)
    if link := behind_link(path, project):
        return [f"{shown}: lies behind the link {shown_path(link, project)}, remove it in {path.resolve()}"]
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        root = Path(trace.root)
        for folder in path.parents:
            if not folder.is_relative_to(root) or folder == root or any(folder.iterdir()):
                break
            folder.rmdir()
    except OSError as error:
        return [f"{shown}: cannot be removed: {error.strerror}"]
    return []


def _remove_members(path: Path, members: set[str], project: Path) -> list[str]:
    shown = shown_path(path, project)
    if link := behind_link(path, project):
        return [f"{shown}: lies behind the link {shown_path(link, project)}, remove {len(members)} photos in it there"]
    if not zipfile.is_zipfile(path):
        return [f"{shown}: {len(members)} photos in it must be taken out by hand: {', '.join(sorted(members)[:3])}"]
    try:
        with zipfile.ZipFile(path) as old:
            kept = [info for info in old.infolist() if info.filename not in members]
            if len(kept) == len(old.infolist()):
                return []
            with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as new:
                for info in kept:
                    new.writestr(info, old.read(info))
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        return [f"{shown}: {len(members)} photos in it cannot be removed: {error}"]
    return []


def remove_frames(traces: Iterable[Trace], target: Target, frames: Path) -> None:
    """Remove what sources have taken out of clips and tar archives; with a clip all that was taken out of it."""
    kept = {trace.file for trace in traces if trace.file}
    if target.kind == "clip":
        for file in kept:
            (frames / file.partition(MEMBER)[0]).unlink(missing_ok=True)
    remove_temporary(frames)
    remove_kept(frames, kept)


def remove_crops(sha256s: set[str], crops: Path) -> int:
    """Remove the aligned faces of photos from all stores under ``crops``; how many photos were there."""
    removed = 0
    for folder in sorted({shard.parent for shard in crops.rglob("*.safetensors")}):
        remove_temporary(folder)
        try:
            removed += FaceStore.remove(folder, sha256s)
        except FaceReconError:
            FaceStore.drop_damaged(folder)
            removed += FaceStore.remove(folder, sha256s)
    return removed
