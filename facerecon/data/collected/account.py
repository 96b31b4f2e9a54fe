"""The ledger as people read it."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from facerecon.data.collected.archive import read_archive
from facerecon.data.collected.ledger import Ledger, track_name
from facerecon.data.manifest import SPLITS


@dataclass(frozen=True)
class ClipLine:
    """A clip in a table; ``outcome`` with the reason of a refusal, ``people`` by split."""

    name: str
    taken: str
    outcome: str
    faces: int
    poor: int
    people: str


def clip_rows(ledger: Ledger) -> list[ClipLine]:
    """A line for each clip, in the order in which they were taken in."""
    people: defaultdict[str, set[str]] = defaultdict(set)
    for key, person in ledger.people.items():
        for track in person.tracks:
            people[track.partition("#")[0]].add(key)
    lines = []
    for sha256, row in sorted(ledger.clips.items(), key=lambda item: (item[1].taken, item[1].name)):
        splits = Counter[str](ledger.people[key].split for key in people[sha256])
        left = sum(track.startswith(sha256) for track in ledger.left_out)
        told = [f"{splits[split]} {split}" for split in SPLITS if splits[split]]
        told += [f"{left} left out"] if left else []
        outcome = f"{row.outcome}: {row.reason}" if row.reason else row.outcome
        taken = row.taken.replace("T", " ")[:16]
        lines.append(ClipLine(row.name, taken, outcome, row.faces, row.poor, ", ".join(told)))
    return lines


def people_rows(ledger: Ledger, folder: Path) -> list[tuple[str, str, str]]:
    """(key, split, when they are seen in which clips) of each person, by split and key.

    Raises:
        FaceReconError: an archive is gone or damaged.
    """
    when = {
        track_name(clip, track.number): f"{row.name} {track.first:.0f}-{track.last:.0f}"
        for clip, row in ledger.clips.items()
        if row.faces
        for track in read_archive(folder, clip)
    }
    people = sorted(ledger.people.items(), key=lambda item: (SPLITS.index(item[1].split), item[0]))
    return [(key, one.split, ", ".join(sorted(when[track] for track in one.tracks))) for key, one in people]


def summary(ledger: Ledger) -> list[str]:
    """How many clips, people and tracks there are, and the frozen sets."""
    outcomes = Counter(row.outcome for row in ledger.clips.values())
    splits = Counter[str](person.split for person in ledger.people.values())
    gone = [person for person in ledger.people.values() if person.left]
    old = sum(person.old for person in ledger.people.values())
    lines = [
        f"{len(ledger.clips)} clips: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}",
        f"{len(ledger.people)} people: {', '.join(f'{splits[split]} in {split}' for split in SPLITS)}; "
        f"{old} of them are in photographs, too",
    ]
    if ledger.left_out:
        lines.append(f"tracks left out, for they may show somebody of another split: {len(ledger.left_out)}")
    if gone or ledger.gone:
        lines.append(
            f"left the evaluation, being in an earlier split, too: {len(gone)} people of clips, {len(ledger.gone)} "
            "photographs"
        )
    for name, of in sorted(ledger.face_sets.items()):
        lines.append(f"{name}: number {of.number}, {len(of.faces)} faces, frozen")
    return lines
