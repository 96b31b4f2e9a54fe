"""What was taken out of photos, clips and archives that are forgotten."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from facerecon.data.containers import MEMBER
from facerecon.data.forget.trace import Target, Trace
from facerecon.data.known import forget_known, forget_some
from facerecon.data.sources.archive import packed_name
from facerecon.data.store import FaceStore
from facerecon.data.tombstones import remove_kept
from facerecon.errors import FaceReconError
from facerecon.files import remove_temporary


def remove_frames(traces: Iterable[Trace], target: Target, frames: Path) -> None:
    """Remove what sources have taken out of clips and tar archives; with a clip all that was taken out of it.

    What was packed of a tar archive that is another now names who was in it, and goes as a whole; so do the lists of
    photos that were read.
    """
    traces = list(traces)
    kept = {trace.file for trace in traces if trace.file}
    whole = {file.partition(MEMBER)[0] for file in kept} if target.kind == "clip" else _outdated(traces)
    for archive in whole:
        (frames / archive).unlink(missing_ok=True)
    remove_temporary(frames)
    forget_known(frames)
    remove_kept(frames, kept)


def remove_extracted(traces: Iterable[Trace], target: Target, folder: Path) -> None:
    """Remove what was kept of an inbox's clips while they were taken in, and the embeddings of all photographs, which
    are made anew; a clip that is meant is known no more."""
    clips = {trace.clip_sha256 for trace in traces} - {""}
    remove_temporary(folder)
    for path in (*(path for clip in clips for path in folder.glob(f"{clip}-*.zip")), *folder.glob("embeddings-*.npz")):
        path.unlink(missing_ok=True)
    if target.kind == "clip":
        forget_some(folder, clips)


def _outdated(traces: Iterable[Trace]) -> set[str]:
    packed: defaultdict[Path, set[str]] = defaultdict(set)
    for trace in traces:
        if trace.file and not trace.clip:
            packed[trace.path].add(trace.file.partition(MEMBER)[0])
    present = {packed_name(path) for path in packed if path.is_file()}
    return {name for names in packed.values() for name in names} - present


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
