"""What is found of somebody who is to be forgotten, and the file that keeps it while that is under way."""

import dataclasses
import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from facerecon.data.forget import Root, Target, Trace
from facerecon.data.tombstones import Tombstones
from facerecon.errors import FaceReconError
from facerecon.files import write_json
from facerecon.workspace import PROJECT, state_folder
from ops.forget.dvc_objects import Kept


@dataclass
class Survey:
    """All that is known of what is to be forgotten; kept on disk while it is under way.

    ``roots`` are layouts with their data roots, "" for where DVC's data lie, ``manifests`` maps a manifest's digest to
    the number of the person's photos by split, ``artifacts`` are ids in ZenML, ``pipelines`` names of its runs,
    ``runs`` ids in MLflow, ``data`` paths of files in the data that go or are written anew, ``files`` paths of what was
    published and goes, ``frozen`` those of degraded evaluation faces that are written anew or go, ``ids`` the
    tombstones' groups.
    """

    target: Target
    traces: list[Trace] = field(default_factory=list)
    roots: list[tuple[str, str]] = field(default_factory=list)
    manifests: dict[str, dict[str, int]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    ids: list[str] = field(default_factory=list)

    @property
    def sha256s(self) -> set[str]:
        """Of all photos and frames."""
        return {trace.sha256 for trace in self.traces} - {""}

    @property
    def data_roots(self) -> list[Root]:
        """The ``roots`` as the library takes them."""
        return [(layout, Path(root)) for layout, root in self.roots]

    def write(self) -> None:
        """Keep it, in one step, so that who is killed can go on."""
        write_json(record_path(), dataclasses.asdict(self))


def record_path() -> Path:
    """Where a survey is kept from when removing begins until nothing is left to remove."""
    return state_folder() / "forgetting.json"


def begun(target: Target) -> Survey | None:
    """The survey of a forgetting of ``target`` that was not finished; None where none is under way.

    Raises:
        FaceReconError: one of somebody else is under way.
    """
    stored = _stored()
    if stored is not None and stored.target != target:
        raise FaceReconError(
            f"an earlier `facerecon forget --{stored.target.kind} {stored.target.name!r}` was not finished: "
            "give that command again first"
        )
    return stored


def remember(found: Survey) -> None:
    """Note in this clone, as a keyed hash, who was forgotten as which tombstones' groups.

    It stays out of git: who has the key and a list of names could ask it for each of them.
    """
    known = _known()
    known[_hash(found.target)] = sorted({*known.get(_hash(found.target), ()), *found.ids})
    write_json(_names_path(), known)


def forgotten_as(target: Target) -> list[str]:
    """The tombstones' groups as which this clone has forgotten ``target``; none if it has not."""
    return _known().get(_hash(target), [])


def _hash(target: Target) -> str:
    return Tombstones.read(PROJECT).hash_of((target.kind, unicodedata.normalize("NFC", target.name)))


def _names_path() -> Path:
    return state_folder() / "forgotten_names.json"


def _known() -> dict[str, list[str]]:
    try:
        return dict(json.loads(_names_path().read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}  # it only helps to word an error


def _stored() -> Survey | None:
    try:
        stored = json.loads(record_path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    traces = [Trace(**trace) for trace in stored.pop("traces")]
    roots = [(layout, root) for layout, root in stored.pop("roots")]
    kept = Kept(*(tuple(stored["kept"][name]) for name in ("objects", "listings")))
    return Survey(**stored | {"target": Target(**stored["target"]), "traces": traces, "roots": roots, "kept": kept})
