"""The manifest: a table of faces, one row each, which travels between steps in place of the images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from facerecon.data.account import account, counted
from facerecon.data.quarantine import quarantine_table
from facerecon.data.store import MEASURES, FaceStore
from facerecon.data.templates import Name
from facerecon.errors import FaceReconError
from facerecon.files import digest_of

SPLITS = ("train", "val", "gate", "test")

PHOTO_COLUMNS = (
    *("face", "uri", "sha256", "source", "identity", "split", "licence"),
    *("clip", "track", "frame", "time", "file", "anchor_x", "anchor_y"),
)
"""``face`` names the row; ``uri`` is relative to the root of ``source``; ``sha256`` is that of the photo's bytes; the
others are a ``Photo``'s: "", -1 or NaN where it has none."""

FACE_COLUMNS = ("crop_sha256", "phash", *MEASURES)
"""Added by alignment: digest of the crop's pixels, its perceptual hash (16 hexadecimal digits), and ``Measures``."""


@dataclass(frozen=True)
class SourceRoot:
    """Where a source's photos lie: under ``root``, in a ``layout`` of ``facerecon.data.sources``; ``aligned`` is the
    template of ``facerecon.data.templates`` that they are crops of, "" of whole photos."""

    layout: str
    root: str
    aligned: Name | Literal[""] = ""


@dataclass(frozen=True)
class Manifest:
    """Faces and the photos that could not be used.

    ``sources`` are the sources by name, ``frames`` is the folder of what was taken out of videos, ``store`` that of the
    aligned faces ("" before alignment; of several sources one each, by name), ``size`` their side in pixels (0 before).
    ``faces`` has PHOTO_COLUMNS and, once aligned, FACE_COLUMNS; ``quarantine`` has the columns of
    ``facerecon.data.quarantine``. ``truth`` is a digest of the truth that sources have beside photos, "" without any.
    ``passed_over`` counts the files that are neither used nor quarantined, as ``facerecon.data.account`` does.
    ``moved`` are identities that were in another split while names were compared byte for byte: no champion trained
    then is measured on them. ``face_sets`` are sets of faces beside the splits by name, such as the old and the new
    ones of a gate. None of the three is part of the digest.
    """

    faces: pd.DataFrame
    sources: Mapping[str, SourceRoot] = field(default_factory=dict)
    quarantine: pd.DataFrame = field(default_factory=lambda: quarantine_table(()))
    frames: str = ""
    store: str | Mapping[str, str] = ""
    size: int = 0
    truth: str = ""
    passed_over: pd.DataFrame = field(default_factory=lambda: counted(()))
    moved: tuple[str, ...] = ()
    face_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def account(self) -> pd.DataFrame:
        """What became of every file under the roots; whole once the faces are validated."""
        return account(self.passed_over, self.faces, self.quarantine)

    @property
    def aligned(self) -> bool:
        """Whether the faces have been cut out."""
        return self.size > 0

    @property
    def several(self) -> bool:
        """Whether it joins several sources."""
        return len(self.sources) > 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the faces and, of what is quarantined, uris and codes, each in order.

        It depends neither on where the files lie nor on how reasons are worded.
        """
        rows = self.faces.sort_values("face")
        content = rows[[name for name in PHOTO_COLUMNS if name != "file"]].to_csv(index=False)
        if self.aligned:
            content += rows["crop_sha256"].to_csv(index=False)
        names = ["source", "uri", "code"] if self.several else ["uri", "code"]
        refused = self.quarantine[names].sort_values(names).to_csv(index=False)
        return hashlib.sha256(f"{self.size}\n{content}\n{refused}{self.truth}".encode()).hexdigest()

    @property
    def sets_digest(self) -> str:
        """SHA-256 over the face sets; "" where there are none."""
        sets = {name: sorted(faces) for name, faces in self.face_sets.items()}
        return digest_of(sets) if sets else ""

    def split(self, name: str) -> pd.DataFrame:
        """The rows of one split, or of the faces of a set that are there, in order of their names."""
        chosen = (
            self.faces["face"].isin(self.face_sets[name]) if name in self.face_sets else self.faces["split"] == name
        )
        return self.faces[chosen].sort_values("face").reset_index(drop=True)

    @cached_property
    def aligned_faces(self) -> FaceStore:
        """Where the crops and points are."""
        if isinstance(self.store, str):
            return FaceStore(self.store)
        photos: dict[Path, set[str]] = {}
        for source, folder in self.store.items():
            photos.setdefault(Path(folder), set()).update(self.faces["sha256"][self.faces["source"] == source])
        return FaceStore(photos)

    def names(self, column: str = "uri") -> pd.Series:
        """What tells photos, clips or tracks apart (a ``column`` of ``faces``): of several sources with the source's
        name before it; "" stays as it is."""
        values = self.faces[column]
        return (self.faces["source"] + ":" + values).where(values != "", "") if self.several else values

    def name_in_source(self, source: str, identity: str) -> str:
        """What a source calls an identity: of several sources those that share no names have theirs before it."""
        return identity.removeprefix(f"{source}:") if self.several else identity

    def check_crops(self) -> None:
        """Raise FaceReconError if a face that the manifest names is gone from the store."""
        missing = [face for face in self.faces["face"] if not self.aligned_faces.holds(face)]
        if missing:
            raise FaceReconError(
                f"{len(missing)} aligned faces are missing from {self.aligned_faces.place} (first: {missing[0]}): "
                "run the pipeline again, it aligns them anew"
            )

    def licences(self) -> dict[str, int]:
        """Photographs by their own licence; of a source that names none for single photographs, nothing."""
        photos = self.faces.drop_duplicates(["source", "uri"])["licence"]
        return {str(name): int(count) for name, count in photos[photos != ""].value_counts().items()}

    def counts(self) -> dict[str, int]:
        """Faces per split, identities and quarantined photos."""
        per_split = self.faces["split"].value_counts()
        return {
            **{name: int(per_split.get(name, 0)) for name in SPLITS},
            "identities": int(self.faces["identity"].nunique()),
            "quarantined": len(self.quarantine),
        }
