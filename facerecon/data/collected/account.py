"""The ledger as people read it."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from facerecon.data.collected.ledger import Ledger
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
        lines.append(f"{len(ledger.left_out)} tracks left out: they may show somebody of another split")
    if gone or ledger.gone:
        lines.append(
            f"left the evaluation, being in an earlier split, too: {len(gone)} people of clips, {len(ledger.gone)} "
            "photographs"
        )
    for name, of in sorted(ledger.face_sets.items()):
        lines.append(f"{name}: number {of.number}, {len(of.faces)} faces, frozen")
    return lines
