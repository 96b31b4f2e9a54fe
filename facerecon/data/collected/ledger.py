"""The ledger: what came of each clip, who was seen in it, and in which split they are, from first sight on.

One JSON file beside the archives, written whole or not at all. It names no person: people have keys made of the content
of the clip that showed them first.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from facerecon.data.settings import Split
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, write_json

FILE = "ledger.json"
"""Its name in the folder of collected faces."""

SCHEMA_VERSION = 1

_STRICT = ConfigDict(extra="forbid", strict=True)

COLLECTED, NOTHING, REFUSED = "collected", "nothing usable", "refused"
"""What comes of a clip."""


def track_name(clip: str, number: int) -> str:
    """What a track is called: the SHA-256 of its clip, and its number there."""
    return f"{clip}#{number}"


@checked(frozen=True, config=_STRICT)
class ClipRow:
    """A clip by what came of it: its ``name`` in the inbox, when it was ``taken`` in (ISO 8601, UTC), the ``outcome``,
    of a refused one ``code`` and ``reason``; how many ``faces`` were kept and how many were too ``poor``."""

    name: str
    taken: str
    outcome: str
    code: str = ""
    reason: str = ""
    faces: int = 0
    poor: int = 0


@checked(frozen=True, config=_STRICT)
class Person:
    """Somebody seen in clips: the ``split`` from first sight on, their ``tracks``, and the sums of the tracks' unit
    embeddings (float32, base64), as they are and ``centred`` (see ``people``).

    ``old`` is whether they are in photographs, too. ``left`` says why they left the evaluation, "" if they did not.
    """

    split: Split
    tracks: tuple[str, ...]
    sum: str
    centred: str
    old: bool = False
    left: str = ""

    @property
    def embedding_sum(self) -> NDArray[np.float64]:
        """The sum of the unit embeddings of the tracks [D]."""
        return decoded(self.sum)

    @property
    def centred_sum(self) -> NDArray[np.float64]:
        """The sum of their centred unit embeddings [D]."""
        return decoded(self.centred)


def encoded(embedding: NDArray[np.floating[Any]]) -> str:
    """An embedding as the ledger keeps it."""
    return base64.b64encode(np.ascontiguousarray(embedding, np.float32).tobytes()).decode()


def decoded(text: str) -> NDArray[np.float64]:
    """The inverse of ``encoded``."""
    return np.frombuffer(base64.b64decode(text), np.float32).astype(np.float64)


@checked(frozen=True, config=_STRICT)
class FaceSet:
    """A frozen set of faces: its ``number``, raised when somebody leaves it, and the ``faces`` by name."""

    number: int
    faces: tuple[str, ...]


@dataclass(frozen=True)
class Ledger:
    """``clips`` by SHA-256, ``people`` by key, ``left_out`` tracks with the cosine to whom they resemble, ``gone``
    photographs (SHA-256) of people who left the evaluation, and the frozen ``face_sets`` by name."""

    clips: Mapping[str, ClipRow] = field(default_factory=dict)
    people: Mapping[str, Person] = field(default_factory=dict)
    left_out: Mapping[str, float] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    face_sets: Mapping[str, FaceSet] = field(default_factory=dict)

    @staticmethod
    def path(folder: Path) -> Path:
        """The file in ``folder``."""
        return folder / FILE

    @classmethod
    def read(cls, folder: Path) -> "Ledger":
        """The ledger in ``folder``; an empty one if there is none.

        Raises:
            FaceReconError: it is damaged, or of a later version of the project.
        """
        path = cls.path(folder)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls()
        try:
            stored = _STORED.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise FaceReconError(
                f"{path}: no ledger ({where}: {first['msg']}): get it back with `dvc checkout collected.dvc`"
            ) from error
        if stored.schema_version != SCHEMA_VERSION:
            raise FaceReconError(
                f"{path}: its schema_version is {stored.schema_version}, this version of the project reads "
                f"{SCHEMA_VERSION}: use the version that wrote it"
            )
        return cls(stored.clips, stored.people, stored.left_out, stored.gone, stored.face_sets)

    def write(self, folder: Path) -> None:
        """Write the ledger into ``folder`` in one step; nothing is touched where it is there already."""
        if (folder / FILE).is_file() and Ledger.read(folder) == self:
            return
        stored = _Stored(SCHEMA_VERSION, **{name: getattr(self, name) for name in _FIELDS})
        write_json(folder / FILE, _STORED.dump_python(stored, mode="json"))

    @property
    def digest(self) -> str:
        """A SHA-256 of who is in which split with which tracks: what a manifest of the collected faces rests on."""
        people = {key: [one.split, list(one.tracks), one.left] for key, one in self.people.items()}
        return digest_of([sorted(self.clips), people, dict(self.left_out), list(self.gone)])

    @property
    def person_of(self) -> dict[str, str]:
        """Whose a track is: the key by the track's name."""
        return {track: key for key, person in self.people.items() for track in person.tracks}

    def with_clips(self, rows: Mapping[str, ClipRow]) -> "Ledger":
        """With what came of some more clips."""
        return replace(self, clips={**self.clips, **rows})

    def frozen(self, name: str, present: Iterable[str]) -> "Ledger":
        """With the face set ``name`` frozen as those ``present``, or, if it is frozen already, without who is gone."""
        there, before = set(present), self.face_sets.get(name)
        if before is None:
            return replace(self, face_sets={**self.face_sets, name: FaceSet(1, tuple(sorted(there)))})
        kept = tuple(face for face in before.faces if face in there)
        if len(kept) == len(before.faces):
            return self
        return replace(self, face_sets={**self.face_sets, name: FaceSet(before.number + 1, kept)})


@checked(frozen=True, config=_STRICT)
class _Stored:
    schema_version: int
    clips: dict[str, ClipRow]
    people: dict[str, Person]
    left_out: dict[str, float]
    gone: tuple[str, ...]
    face_sets: dict[str, FaceSet]


_FIELDS = ("clips", "people", "left_out", "gone", "face_sets")
_STORED = TypeAdapter(_Stored)
