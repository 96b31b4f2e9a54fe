"""Tombstones: photographs that must never be used again, known by keyed hashes alone.

The file lies in the project's root, travels with git, and names nobody: of a photo it holds the HMAC-SHA256 (RFC 2104)
of its SHA-256 under a key that was drawn once. Who has the file can tell of a photo in hand whether it is forgotten,
and can make no photo out of it.
"""

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from facerecon.data.containers import MEMBER, member_names, read_bytes, write_zip
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, write_json

FILE = "forgotten.json"
"""Its name in the project's root."""

FORGOTTEN = "forgotten"
"""The reason in the quarantine list, and in a record of what is kept of a tar archive."""

Fact = tuple[str, ...]
"""What is known of something forgotten: ``photo_fact``, ``clip_fact`` or ``track_fact``."""


def photo_fact(sha256: str) -> Fact:
    """A photo, or a frame that was kept of a clip, by the SHA-256 of its bytes."""
    return ("photo", sha256)


def clip_fact(sha256: str) -> Fact:
    """A whole clip by the SHA-256 of its bytes."""
    return ("clip", sha256)


def track_fact(clip_sha256: str, clip: str, track: str) -> Fact:
    """A track in a clip of that SHA-256, whatever the clip is called."""
    return ("track", clip_sha256, track.removeprefix(clip))


@dataclass(frozen=True)
class Tombstones:
    """What is forgotten: the ``key`` ("" where there is none yet) and the groups of hashes, one a request."""

    key: str = ""
    groups: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, project: Path) -> "Tombstones":
        """The tombstones of the project; none if there is no file.

        Raises:
            FaceReconError: the file is damaged. Nothing may be read then: a forgotten photo could pass.
        """
        path = project / FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            key, groups = stored["key"], stored["groups"]
            if len(bytes.fromhex(key)) < 32 or not all(isinstance(mark, str) for g in groups for mark in g["hashes"]):
                raise ValueError("a short key")
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FaceReconError(
                f"{path}: it cannot be read ({error}), so nobody knows which photos are forgotten: "
                f"get it back with `git checkout {FILE}`, or resolve the merge"
            ) from error
        return cls(key, tuple(groups))

    def write(self, project: Path) -> None:
        """Write the project's file in one step."""
        write_json(project / FILE, {"key": self.key, "groups": list(self.groups)})

    def bury(self, facts: Iterable[Fact], date: str, reason: str) -> "Tombstones":
        """These tombstones with a group for those of the ``facts`` that are not forgotten yet; ``date`` is ISO 8601."""
        dug = Tombstones(self.key or secrets.token_hex(32), self.groups)
        hashes = sorted({dug.hash_of(fact) for fact in facts} - dug._hashes)
        if not hashes:
            return self
        group = {"id": digest_of([dug.key, hashes])[:12], "date": date, "reason": reason, "hashes": hashes}
        return Tombstones(dug.key, (*self.groups, group))

    def hash_of(self, fact: Fact) -> str:
        """The keyed hash of a fact, hexadecimal."""
        return hmac.digest(bytes.fromhex(self.key), "\0".join(fact).encode("utf-8", "surrogateescape"), "sha256").hex()

    def hold(self, fact: Fact) -> bool:
        """Whether this is forgotten."""
        return bool(self.groups) and self.hash_of(fact) in self._hashes

    def ids_of(self, facts: Iterable[Fact]) -> list[str]:
        """The groups that hold any of the facts."""
        wanted = {self.hash_of(fact) for fact in facts} if self.key else set()
        return sorted(group["id"] for group in self.groups if not wanted.isdisjoint(group["hashes"]))

    @property
    def digest(self) -> str:
        """SHA-256 over all that is forgotten; "" if nothing is."""
        return digest_of([self.key, sorted(self._hashes)]) if self.groups else ""

    @cached_property
    def _hashes(self) -> set[str]:
        return {mark for group in self.groups for mark in group["hashes"]}


def remove_kept(folder: Path, files: Iterable[str]) -> None:
    """Take pictures out of the archives in which sources keep them, ``files`` as ``archive.zip!/member``.

    The records in the archives follow: a frame is no longer named, and a track without frames goes with its embedding;
    a member of a tar archive stays named as forgotten. So the source finds its archive and reads nothing anew.
    """
    by_archive: dict[str, set[str]] = {}
    for file in files:
        archive, _, member = file.partition(MEMBER)
        by_archive.setdefault(archive, set()).add(member)
    for archive, gone in by_archive.items():
        if not (folder / archive).is_file():
            continue
        names = member_names(folder / archive)
        records = {name: json.loads(read_bytes(folder, f"{archive}{MEMBER}{name}")) for name in names if _record(name)}
        trimmed = {name: _without(record, gone) for name, record in records.items()}
        if gone.isdisjoint(names) and trimmed == records:
            continue
        kept = [name for name in names if name not in gone and name not in records]
        pictures = ((name, read_bytes(folder, f"{archive}{MEMBER}{name}")) for name in kept)
        ends = ((name, json.dumps(record).encode()) for name, record in trimmed.items())
        write_zip(folder / archive, (member for part in (pictures, ends) for member in part))


def _record(name: str) -> bool:
    return name.endswith(".json")


def _without(record: Any, gone: set[str]) -> Any:
    """A source's record of what it keeps without the members that are ``gone``."""
    if isinstance(record, dict):  # footage: tracks with their faces
        tracks = [
            track | {"faces": [face for face in track["faces"] if face["member"] not in gone]}
            for track in record["tracks"]
        ]
        return record | {"tracks": [track for track in tracks if track["faces"]]}
    # clips: [member, frame, ...]; tar archives: [name in the tar, member, reason]
    kept = [row for row in record if row[0] not in gone]
    return [[row[0], "", FORGOTTEN] if row[1] in gone else row for row in kept]
