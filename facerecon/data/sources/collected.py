"""Faces that were collected out of an inbox: archives beside a ledger, which says who is in which split."""

from collections.abc import Iterator
from pathlib import Path

from facerecon.data.collected.archive import archive_path, read_archive
from facerecon.data.collected.ledger import FILE, Ledger, track_name
from facerecon.data.containers import MEMBER
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import Photo, SourceContext, register_source


def _is_ledger(root: Path, uri: str) -> bool:
    return uri == FILE


def _who_left(root: Path) -> frozenset[str]:
    """Photographs of people who left the evaluation, for they are seen in train, too."""
    return frozenset(Ledger.read(root).gone)


@register_source(beside=_is_ledger, pictures=False, may_be_empty=True, withdrawn=_who_left)
def collected(root: Path, context: SourceContext) -> Iterator[Photo]:
    """The faces of each archive under ``root``, in the split that the ledger has for the person; none is no error.

    Tracks that may show somebody of another split are refused, and people who left the evaluation.
    """
    ledger = Ledger.read(root)
    person_of = ledger.person_of
    for clip, row in sorted(ledger.clips.items()):
        if not row.faces:
            continue
        archive = archive_path(root, clip).relative_to(root).as_posix()
        for track in read_archive(root, clip):
            name = track_name(clip, track.number)
            key = person_of.get(name)
            person = None if key is None else ledger.people[key]
            refused = None
            if person is None:
                refused = Refusal(Code.MAY_BE_KNOWN, "left out: it may show somebody of another split")
            elif person.left:
                refused = Refusal(Code.LEFT_EVALUATION, f"left the evaluation: {person.left}")
            for face in track.faces:
                yield Photo(
                    uri=f"{archive}{MEMBER}{face.member}",
                    identity=key,
                    splits=() if person is None else (person.split,),
                    anchor=face.anchor,
                    track=f"{archive}#{track.number}",
                    frame=face.frame,
                    time=face.time,
                    refused=refused,
                )
