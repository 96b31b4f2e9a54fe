"""What is to be forgotten, and a photo, frame or clip that is part of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facerecon.data.containers import MEMBER

TargetKind = Literal["identity", "file", "clip"]

Root = tuple[str, Path]
"""A layout and its data root; the layout "" where only equal bytes are looked for."""

COLLECTED = "collected"
"""The layout of faces that were collected out of an inbox, whose ledger knows people and clips."""


@dataclass(frozen=True)
class Target:
    """What is to be forgotten: an identity, a file by its uri (or path in the project), or a clip, by exact name."""

    kind: TargetKind
    name: str


@dataclass(frozen=True)
class Trace:
    """A photo, or a frame of a clip, that is to be forgotten; the fields are those of a manifest's row.

    ``identity`` is the name that the source gives, ``named`` that in the manifest, "" where it is the same. ``sha256``
    is "" where the file cannot be read and no manifest knows it, ``clip_sha256`` where it is of no clip. ``whole`` ones
    are clips that came by an inbox: one that lies there, or a row of a ledger, which has it ``named`` as it was there.
    """

    root: str
    uri: str
    sha256: str
    identity: str
    clip: str = ""
    track: str = ""
    file: str = ""
    clip_sha256: str = ""
    named: str = ""
    whole: bool = False

    @property
    def holder(self) -> str:
        """The uri of its archive or its clip, "" of a file."""
        return self.clip or (self.uri.partition(MEMBER)[0] if MEMBER in self.uri else "")

    @property
    def path(self) -> Path:
        """The file that holds it: itself, its archive or its clip."""
        return Path(self.root) / (self.clip or self.uri.partition(MEMBER)[0])
