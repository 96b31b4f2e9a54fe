"""Who a model learned from, by keyed hashes: enough to leave them out of a comparison, and without the key no names.

HMAC-SHA256 under a key of this clone, apart for people and for crops, the first 32 hexadecimal digits. Who holds the
key can ask whether somebody is among the hashes, so it leaves this clone's state only by a person's hand. Hashes of
two keys say nothing about each other.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from facerecon.data.manifest import Manifest
from facerecon.data.people import person_name
from facerecon.errors import FaceReconError
from facerecon.settings import Settings
from facerecon.workspace import state_folder

LEARNED_SPLITS = ("train", "val")
"""The splits that a model learns from or is selected by."""

LENGTH = 32
"""Bytes of the key."""

Mark = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The keyed hash of a person or of a crop."""


@dataclass(frozen=True)
class PeopleKey:
    """The key of this clone's hashes; its ``id`` tells it from others and does not tell the key."""

    secret: bytes

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return self._hash("id", "")[:16]

    def person(self, name: str) -> str:
        """The mark of a person by name, as all sources compare it and without a source's name before it."""
        return self._hash("person", person_name(name))[:32]

    def crop(self, sha256: str) -> str:
        """The mark of a crop by the digest of its pixels."""
        return self._hash("crop", sha256)[:32]

    def _hash(self, domain: str, value: str) -> str:
        content = f"facerecon {domain}\0{value}".encode("utf-8", "surrogateescape")
        return hmac.digest(self.secret, content, "sha256").hex()


def key_path() -> Path:
    """The key's file in the state folder."""
    return state_folder() / "people.key"


def people_key() -> PeopleKey:
    """This clone's key, made now if there is none: 32 bytes that only the owner can read.

    Raises:
        FaceReconError: the file cannot be read or written, or holds no key.
    """
    path = key_path()
    try:
        if not path.exists():
            _create(path)
        secret = path.read_bytes()
    except OSError as error:
        raise FaceReconError(
            f"{path}: the key of people's hashes cannot be used ({error.strerror}): make it a file that can be read"
        ) from error
    if len(secret) != LENGTH:
        raise FaceReconError(
            f"{path}: {len(secret)} bytes, a key has {LENGTH}: put the old file back, or remove it; with a new key no "
            "version of before is compared with"
        )
    return PeopleKey(secret)


def _create(path: Path) -> None:
    """Make the key; of two processes at once one's key stands, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".people-{secrets.token_hex(8)}.key")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(LENGTH))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Learned(Settings):
    """The marks of the people and crops that a model and its ancestors learned from or were selected by.

    ``key`` is the id of the key of the marks. ``unknown`` says why others may be missing, "" where none is.
    """

    schema_version: Literal[1] = 1
    key: str
    people: tuple[Mark, ...] = ()
    crops: tuple[Mark, ...] = ()
    unknown: str = ""

    def __or__(self, other: "Learned") -> "Learned":
        """Both together; of another key nothing is known."""
        if other.key != self.key:
            return self.model_copy(update={"unknown": self.unknown or "it was hashed with another key"})
        return Learned(
            key=self.key,
            people=tuple(sorted({*self.people, *other.people})),
            crops=tuple(sorted({*self.crops, *other.crops})),
            unknown=self.unknown or other.unknown,
        )


def learned_from(faces: Manifest, key: PeopleKey) -> Learned:
    """What a model learns from that is trained on these aligned faces."""
    marks = marks_of(faces, key)
    marks = marks[marks["split"].isin(LEARNED_SPLITS)]
    return Learned(key=key.id, people=_sorted(marks["person"]), crops=_sorted(marks["crop"]))


def marks_of(faces: Manifest, key: PeopleKey) -> pd.DataFrame:
    """The marks ``person`` and ``crop`` of each aligned face, and its ``split``; the index has the faces' names."""
    rows = faces.faces
    names = [faces.name_in_source(*of) for of in zip(rows["source"], rows["identity"], strict=True)]
    people = {name: key.person(name) for name in dict.fromkeys(names)}
    table = {
        "split": rows["split"].to_list(),
        "person": [people[name] for name in names],
        "crop": [key.crop(str(sha256)) for sha256 in rows["crop_sha256"]],
    }
    return pd.DataFrame(table, index=pd.Index(rows["face"], dtype="str"))


def unseen(marks: pd.DataFrame, learned: Iterable[Learned]) -> frozenset[str]:
    """The faces of ``marks_of`` whose person and crop none of the models learned from."""
    known = list(learned)
    people, crops = ({mark for of in known for mark in getattr(of, kind)} for kind in ("people", "crops"))
    return frozenset(map(str, marks.index[~(marks["person"].isin(people) | marks["crop"].isin(crops))]))


def _sorted(marks: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(set(marks)))
