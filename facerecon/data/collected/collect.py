"""From whole clips in an inbox to faces in archives, and people in the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facerecon.data.collected.archive import SUFFIX, archive_path, select, write_archive
from facerecon.data.collected.collection import Collection, TakenIn
from facerecon.data.collected.ledger import COLLECTED, NOTHING, REFUSED, ClipRow, Ledger
from facerecon.data.collected.people import NewTrack, OldPerson, assign
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.footage.decode import UnusableClipError, clip_digest
from facerecon.data.footage.extraction import Extracted, extract_all
from facerecon.data.quarantine import Code, Refusal, refusal_of
from facerecon.data.tombstones import FORGOTTEN, Tombstones, clip_fact, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import remove_temporary

_SHA256 = 64
"""Digits of a clip's digest, with which the name of its extracted archive begins."""


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
    ledger = Ledger.read(folder)
    remove_temporary(folder)
    for orphan in folder.glob(f"*{SUFFIX}"):
        if orphan.stem not in ledger.clips:
            orphan.unlink()  # of a process that died before it wrote the ledger
    batch = _Batch(ledger, now)
    unread = [clip for clip in clips if not batch.passes_over(clip, tombstones)]
    found = extract_all([clip.path for clip in unread], extracted_in, settings.footage) if unread else []
    for clip, one in zip(unread, found, strict=True):
        batch.take_in(clip, one, folder, extracted_in, settings, tombstones)
    told: dict[str, Any] = {}
    after = ledger.with_clips(batch.rows)
    if batch.tracks:
        try:
            made = assign(after, batch.tracks, old_people(), settings)
        except FaceReconError:
            for sha256 in batch.rows:
                archive_path(folder, sha256).unlink(missing_ok=True)
            raise
        after = made.ledger
        told = {
            **{"joined": made.joined, "new_people": made.new, "left_out": len(made.left_out)},
            **{"threshold": made.threshold, "proved": made.proved},
        }
    after.write(folder)
    for one in found:
        if one.archive and one.archive[:_SHA256] in batch.digests.values():
            (extracted_in / one.archive).unlink(missing_ok=True)
    return Collection(
        taken_in=tuple(batch.taken_in),
        refused=tuple(batch.refused),
        again=tuple(batch.again),
        digests=batch.digests,
        **told,
    )


@dataclass
class _Batch:
    """What comes of new clips, one after the other: see ``Collection``; ``rows`` of the ledger, and new ``tracks``."""

    ledger: Ledger
    now: str
    rows: dict[str, ClipRow] = field(default_factory=dict)
    taken_in: list[TakenIn] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    again: list[tuple[str, str]] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    tracks: list[NewTrack] = field(default_factory=list)

    def passes_over(self, clip: InboxClip, tombstones: Tombstones) -> bool:
        """Whether a clip need not, or must not, be looked into: its bytes are known, forgotten, or cannot be read."""
        try:
            sha256 = clip_digest(clip.path)
        except (OSError, UnusableClipError) as error:
            reason = refusal_of(error).reason if isinstance(error, OSError) else str(error)
            self.refused.append((clip.uri, reason))
            return True  # it may be mended until the next time
        if sha256 in self.ledger.clips:
            self._note_again(clip, sha256, self.ledger.clips[sha256])
            return True
        if tombstones.groups and tombstones.hold(clip_fact(sha256)):
            self._refuse(clip, sha256, Refusal(Code.FORGOTTEN, FORGOTTEN))
            return True
        return False

    def take_in(
        self,
        clip: InboxClip,
        found: Extracted,
        folder: Path,
        extracted_in: Path,
        settings: CollectSettings,
        tombstones: Tombstones,
    ) -> None:
        """Write the archive of a clip that was read, and note what came of it."""
        sha256 = found.archive[:_SHA256]
        if found.refused and (not sha256 or found.refused.code == Code.CHANGED):
            self.refused.append((clip.uri, found.refused.reason))
            return  # it may be mended until the next time
        if sha256 in self.rows:
            self._note_again(clip, sha256, self.rows[sha256])
            return
        if found.refused or found.record is None:
            self._refuse(clip, sha256, found.refused or Refusal(Code.BAD_CLIP, "holds no record"))
            return
        kept = select(found.record, settings.min_quality, settings.min_seen)
        kept = tuple(t for t in kept if not tombstones.hold(track_fact(sha256, "", f"#{t.number}")))
        good = [track for track in kept if track.faces]
        if good:
            write_archive(folder, sha256, kept, extracted_in / found.archive)
            camera = clip.uri.rpartition("/")[0]
            self.tracks += [NewTrack(sha256, camera, t.number, t.first, t.last, t.embedding) for t in good]
        faces, poor = sum(len(track.faces) for track in kept), sum(track.poor for track in kept)
        self.digests[clip.uri] = sha256
        self.rows[sha256] = ClipRow(clip.uri, self.now, COLLECTED if good else NOTHING, faces=faces, poor=poor)
        self.taken_in.append(TakenIn(name=clip.uri, tracks=len(good), faces=faces, poor=poor))

    def _note_again(self, clip: InboxClip, sha256: str, before: ClipRow) -> None:
        self.digests[clip.uri] = sha256
        if before.name != clip.uri:
            self.again.append((clip.uri, before.name))

    def _refuse(self, clip: InboxClip, sha256: str, refusal: Refusal) -> None:
        self.digests[clip.uri] = sha256
        self.refused.append((clip.uri, refusal.reason))
        self.rows[sha256] = ClipRow(clip.uri, self.now, REFUSED, refusal.code.value, refusal.reason)
