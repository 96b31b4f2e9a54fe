"""From whole clips in an inbox to faces in archives, and people in the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facerecon.data.collected.archive import SUFFIX, KeptTrack, archive_path, select, write_archive
from facerecon.data.collected.collection import Collection, TakenIn
from facerecon.data.collected.ledger import COLLECTED, NOTHING, REFUSED, ClipRow, Ledger
from facerecon.data.collected.people import NewTrack, OldPerson, assign
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.footage.extraction import Extracted, extract_all
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.tombstones import FORGOTTEN, Tombstones, clip_fact, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import remove_temporary


@dataclass(frozen=True)
class InboxClip:
    """A clip to take in: its name in the inbox (``uri``), and its ``path``."""

    uri: str
    path: Path


def collect(
    clips: Sequence[InboxClip],
    folder: Path,
    extracted_in: Path,
    old_people: Callable[[], Sequence[OldPerson]],
    settings: CollectSettings,
    tombstones: Tombstones,
    now: str,
) -> Collection:
    """Take in ``clips``: their good faces go into archives in ``folder``, who is in them into the ledger there.

    ``extracted_in`` keeps what was taken out of clips until that is done; ``old_people`` are asked for where there is
    a new track; ``now`` is ISO 8601, UTC. Killed and begun again it ends with the same archives and the same ledger.

    Raises:
        FaceReconError: the ledger is damaged, too many tracks would be left out, or there is no space left.
    """
    ledger, rows = Ledger.read(folder), dict[str, ClipRow]()
    remove_temporary(folder)
    for orphan in folder.glob(f"*{SUFFIX}"):
        if orphan.stem not in ledger.clips:
            orphan.unlink()  # of a process that died before it wrote the ledger
    taken_in: list[TakenIn] = []
    refused: list[tuple[str, str]] = []
    again: list[tuple[str, str]] = []
    digests: dict[str, str] = {}
    tracks: list[NewTrack] = []
    found = extract_all([clip.path for clip in clips], extracted_in, settings.footage) if clips else []
    for clip, one in zip(clips, found, strict=True):
        sha256 = one.archive[:64]
        if not sha256 or (one.refused and one.refused.code == Code.CHANGED):
            refused.append((clip.uri, one.refused.reason if one.refused else "cannot be read"))
            continue  # it may be mended until the next time
        digests[clip.uri] = sha256
        if before := ledger.clips.get(sha256) or rows.get(sha256):
            if before.name != clip.uri:
                again.append((clip.uri, before.name))
            continue
        refusal, kept = _kept(one, sha256, settings, tombstones)
        if refusal:
            refused.append((clip.uri, refusal.reason))
            rows[sha256] = ClipRow(clip.uri, now, REFUSED, refusal.code.value, refusal.reason)
            continue
        good = [track for track in kept if track.faces]
        faces, poor = sum(len(track.faces) for track in kept), sum(track.poor for track in kept)
        if good:
            write_archive(folder, sha256, kept, extracted_in / one.archive)
            camera = clip.uri.rpartition("/")[0]
            tracks += [NewTrack(sha256, camera, t.number, t.first, t.last, t.embedding) for t in good]
        rows[sha256] = ClipRow(clip.uri, now, COLLECTED if good else NOTHING, faces=faces, poor=poor)
        taken_in.append(TakenIn(name=clip.uri, tracks=len(good), faces=faces, poor=poor))
    told = {"joined": 0, "new_people": {}, "left_out": 0, "threshold": {}, "proved": 0}
    after = ledger.with_clips(rows)
    if tracks:
        try:
            made = assign(after, tracks, old_people(), settings)
        except FaceReconError:
            for sha256 in rows:
                archive_path(folder, sha256).unlink(missing_ok=True)
            raise
        after = made.ledger
        told = {
            **{"joined": made.joined, "new_people": made.new, "left_out": len(made.left_out)},
            **{"threshold": made.threshold, "proved": made.proved},
        }
    after.write(folder)
    for one in found:
        if one.archive and one.archive[:64] in digests.values():
            (extracted_in / one.archive).unlink(missing_ok=True)
    return Collection(taken_in=tuple(taken_in), refused=tuple(refused), again=tuple(again), digests=digests, **told)


def _kept(
    clip: Extracted, sha256: str, settings: CollectSettings, tombstones: Tombstones
) -> tuple[Refusal | None, tuple[KeptTrack, ...]]:
    """The tracks of a clip with their good faces, or why it is refused."""
    if tombstones.groups and tombstones.hold(clip_fact(sha256)):
        return Refusal(Code.FORGOTTEN, FORGOTTEN), ()
    if clip.refused or clip.record is None:
        return clip.refused or Refusal(Code.BAD_CLIP, "holds no record"), ()
    tracks = select(clip.record, settings.min_quality, settings.min_seen)
    if tombstones.groups:
        tracks = tuple(t for t in tracks if not tombstones.hold(track_fact(sha256, "", f"#{t.number}")))
    return None, tracks
