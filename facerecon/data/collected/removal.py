"""Taking people, faces and clips out of what was collected: out of the ledger first, then out of the archives.

So the ledger names no archive that is gone, and who was killed on the way does it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerecon.data.collected.archive import KeptTrack, archive_path, read_archive, write_archive
from facerecon.data.collected.ledger import NOTHING, ClipRow, FaceSet, Ledger, Person, encoded, track_name
from facerecon.files import remove_temporary


@dataclass(frozen=True)
class Going:
    """What goes: ``faces`` as members of archives by clip, whole ``clips`` (SHA-256), ``people`` by key, and ``photos``
    of any source by SHA-256."""

    faces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    clips: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    photos: frozenset[str] = frozenset()

    def touches(self, ledger: Ledger) -> bool:
        """Whether the ledger has any of it."""
        named = set(ledger.gone).union(*(map(_photo, of.faces) for of in ledger.face_sets.values()))
        return bool(self.faces or self.clips & ledger.clips.keys() or self.people & ledger.people.keys()) or bool(
            self.photos & named
        )


def files_going(folder: Path, going: Going) -> list[Path]:
    """The files in ``folder`` that go or are written anew."""
    ledger = Ledger.read(folder)
    if not going.touches(ledger):
        return []
    archives = [archive_path(folder, clip) for clip in (*going.clips, *going.faces)]
    return sorted({Ledger.path(folder), *(path for path in archives if path.is_file())})


def remove_collected(folder: Path, going: Going) -> None:
    """Take all that goes out of ``folder``; a track without faces goes with its embedding, an archive without tracks.

    Raises:
        FaceReconError: the ledger or an archive is damaged.
    """
    ledger = Ledger.read(folder)
    present = [clip for clip in {*going.faces, *going.clips} if archive_path(folder, clip).is_file()]
    archives = {clip: read_archive(folder, clip) for clip in present}
    if ledger != Ledger():
        _ledger_without(ledger, going, archives).write(folder)
    remove_temporary(folder)
    for clip, tracks in archives.items():
        kept = () if clip in going.clips else _without(tracks, going.faces[clip])
        if not kept:
            archive_path(folder, clip).unlink()
        elif kept != tracks:
            write_archive(folder, clip, kept, archive_path(folder, clip))


def _without(tracks: tuple[KeptTrack, ...], members: frozenset[str]) -> tuple[KeptTrack, ...]:
    kept = [replace(t, faces=tuple(face for face in t.faces if face.member not in members)) for t in tracks]
    return tuple(track for track in kept if track.faces)


def _ledger_without(ledger: Ledger, going: Going, archives: Mapping[str, tuple[KeptTrack, ...]]) -> Ledger:
    emptied: dict[str, NDArray[np.float32]] = {}
    rows = {clip: row for clip, row in ledger.clips.items() if clip not in going.clips}
    for clip, tracks in archives.items():
        kept = () if clip in going.clips else _without(tracks, going.faces[clip])
        left = {track.number for track in kept}
        emptied |= {track_name(clip, track.number): track.embedding for track in tracks if track.number not in left}
        if clip in rows:
            rows[clip] = _row(rows[clip], sum(len(track.faces) for track in kept))
    people = {key: _person(one, emptied) for key, one in ledger.people.items() if key not in going.people}
    left_out = {
        track: cosine
        for track, cosine in ledger.left_out.items()
        if track not in emptied and track.partition("#")[0] not in going.clips
    }
    return replace(
        ledger,
        clips=rows,
        people={key: person for key, person in people.items() if person.tracks},
        left_out=left_out,
        gone=tuple(photo for photo in ledger.gone if photo not in going.photos),
        face_sets={name: _face_set(of, going.photos) for name, of in ledger.face_sets.items()},
    )


def _row(row: ClipRow, faces: int) -> ClipRow:
    return replace(row, faces=faces, outcome=row.outcome if faces else NOTHING)


def _person(person: Person, emptied: Mapping[str, NDArray[np.float32]]) -> Person:
    gone = [emptied[track] for track in person.tracks if track in emptied]
    if not gone:
        return person
    total = encoded(person.embedding_sum - np.sum(gone, axis=0, dtype=np.float64))
    tracks = tuple(track for track in person.tracks if track not in emptied)
    # which part of the centred sum was theirs is not kept: uncentred, the rest is suspected rather more often
    return replace(person, tracks=tracks, sum=total, centred=total)


def _face_set(of: FaceSet, photos: frozenset[str]) -> FaceSet:
    kept = tuple(face for face in of.faces if _photo(face) not in photos)
    return of if len(kept) == len(of.faces) else FaceSet(of.number + 1, kept)


def _photo(face: str) -> str:
    """The photo that a face is named after: of one of several it ends in ``-1``."""
    return face.partition("-")[0]
