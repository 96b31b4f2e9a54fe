"""Who was in manifests that were removed: a later request must know which models it concerns."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from facerecon.data.manifest import SPLITS
from facerecon.data.tombstones import Tombstones, photo_fact
from facerecon.files import write_json
from facerecon.workspace import PROJECT, state_folder
from ops.forget import zenml_artifacts
from ops.forget.record import Survey
from ops.shared.place import shared_place

Members = dict[str, list[str]]
"""Of a manifest: split -> keyed hashes of its photos."""


def keep_members(found: Survey, tombstones: Tombstones) -> None:
    """Keep keyed hashes of the photos in each manifest that goes, by split; they name nobody.

    Those of a server's registry lie where all machines reach them.
    """
    known = {digest for digest, _ in _kept()}
    for manifest, _ in zenml_artifacts.manifests():
        if manifest.digest in found.manifests and manifest.digest not in known:
            splits = manifest.faces.drop_duplicates("sha256").groupby("split")["sha256"]
            _keep(manifest.digest, {str(split): sorted(_hashes(tombstones, shas)) for split, shas in splits})


def find_members(found: Survey) -> None:
    """Manifests that were removed before, for somebody else, and had the person too."""
    tombstones = Tombstones.read(PROJECT)
    wanted = _hashes(tombstones, found.sha256s) if tombstones.key else set()
    for digest, members in _kept():
        about = {split: len(wanted.intersection(members.get(split, ()))) for split in SPLITS}
        if any(about.values()):
            found.manifests.setdefault(digest, about)


def _kept() -> Iterator[tuple[str, Members]]:
    """The digest of each manifest that was removed, and who was in it."""
    if (place := shared_place()) is None:
        for path in _folder().glob("*.json"):
            yield path.stem, json.loads(path.read_text(encoding="utf-8"))
        return
    for name in place.names():
        if name.startswith(_SHARED) and (held := place.read(name)) is not None:
            yield Path(name).stem, json.loads(held.content)


def _keep(digest: str, members: Members) -> None:
    if (place := shared_place()) is None:
        write_json(_folder() / f"{digest}.json", members)
    else:
        place.create(f"{_SHARED}{digest}.json", json.dumps(members).encode())


_SHARED = "members/"
"""How these objects' names begin in the shared place."""


def _folder() -> Path:
    return state_folder() / "members"


def _hashes(tombstones: Tombstones, sha256s: Iterable[str]) -> set[str]:
    return {tombstones.hash_of(photo_fact(sha256))[:16] for sha256 in sha256s}
