"""Who was in manifests that were removed: a later request must know which models it concerns."""

import json
from collections.abc import Iterable
from pathlib import Path

from facerecon.data.manifest import SPLITS
from facerecon.data.tombstones import Tombstones, photo_fact
from facerecon.files import write_json
from facerecon.workspace import PROJECT, state_folder
from ops.forget import zenml_artifacts
from ops.forget.record import Survey


def keep_members(found: Survey, tombstones: Tombstones) -> None:
    """Keep keyed hashes of the photos in each manifest that goes, by split; they name nobody."""
    for manifest, _ in zenml_artifacts.manifests():
        path = _folder() / f"{manifest.digest}.json"
        if manifest.digest in found.manifests and not path.exists():
            splits = manifest.faces.drop_duplicates("sha256").groupby("split")["sha256"]
            write_json(path, {str(split): sorted(_hashes(tombstones, shas)) for split, shas in splits})


def find_members(found: Survey) -> None:
    """Manifests that were removed before, for somebody else, and had the person too."""
    tombstones = Tombstones.read(PROJECT)
    wanted = _hashes(tombstones, found.sha256s) if tombstones.key else set()
    for path in _folder().glob("*.json"):
        members = json.loads(path.read_text(encoding="utf-8"))
        about = {split: len(wanted.intersection(members.get(split, ()))) for split in SPLITS}
        if any(about.values()):
            found.manifests.setdefault(path.stem, about)


def _folder() -> Path:
    return state_folder() / "members"


def _hashes(tombstones: Tombstones, sha256s: Iterable[str]) -> set[str]:
    return {tombstones.hash_of(photo_fact(sha256))[:16] for sha256 in sha256s}
