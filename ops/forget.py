"""Forgetting a person: everything that this clone keeps of them, in its data, its stores, ZenML, MLflow and DVC.

What is found is written down before anything is removed, and each part can be done twice: a forgetting that was killed
is finished by the same command. Tombstones come first, so that nothing comes back meanwhile.
"""

import dataclasses
import json
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities import FileInfo
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from facerecon.config.data import DataSettings
from facerecon.data.forget import (
    Target,
    Trace,
    clips_left,
    facts_of,
    files_of,
    remove_crops,
    remove_frames,
    remove_photos,
    shown_path,
    traces_of,
)
from facerecon.data.manifest import SPLITS, Manifest
from facerecon.data.tombstones import Tombstones, photo_fact
from facerecon.errors import FaceReconError
from facerecon.files import write_json
from ops import dvc_objects
from ops.dvc_objects import Copy, Kept
from ops.lineage import git
from ops.paths import PROJECT, outputs_folder, state_folder
from ops.registry import config_of, connect, registered_models, versions_of
from ops.runs import all_runs
from ops.stack import EXPERIMENT, stack_name, tracking_uri

TAG = "forgotten"
"""On runs and versions: the tombstones' groups that hold photos they were made with."""

STAYS = frozenset(
    {".csv", ".dvc", ".json", ".diff", ".md", ".onnx", ".safetensors", ".txt", ".yaml", ".yml", "", ".jsonl"}
)
"""Files of a run that hold no picture; one in which the person is named goes all the same."""

WITHOUT_PICTURES = frozenset(
    {"TrainingMaterializer", "ExportedModelMaterializer", "MaskSetMaterializer", "BuiltInMaterializer"}
)
"""Artifacts of these kinds stay: weights, ONNX files, masks, single values."""


@dataclass(frozen=True)
class Use:
    """A registered version made with the person: how many of their photos were in each split."""

    model: str
    version: int
    aliases: tuple[str, ...]
    photos: dict[str, int]

    @property
    def said(self) -> str:
        """One line: what was done with the photos and what to do now."""
        held = f", {', '.join(self.aliases)}" if self.aliases else ""
        trained, other = self.photos.get("train", 0), {s: n for s, n in self.photos.items() if s != "train" and n}
        if trained:
            what = f"trained on {trained} photos of this person: retrain or delete it"
        else:
            what = f"not trained on this person; {', '.join(f'{n} photos in {s}' for s, n in other.items())}"
        return f"{config_of(self.model)}/{self.version}{held}: {what}"


@dataclass
class Survey:
    """All that is known of what is to be forgotten; kept on disk while it is under way.

    ``manifests`` maps a manifest's digest to the number of the person's photos by split, ``artifacts`` are ids in
    ZenML, ``pipelines`` names of its runs, ``runs`` ids in MLflow, ``data`` paths of files in the data that go or are
    written anew, ``files`` paths of what was published and goes, ``ids`` the tombstones' groups.
    """

    target: Target
    traces: list[Trace] = field(default_factory=list)
    manifests: dict[str, dict[str, int]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    ids: list[str] = field(default_factory=list)

    @property
    def sha256s(self) -> set[str]:
        """Of all photos and frames."""
        return {trace.sha256 for trace in self.traces} - {""}


@dataclass(frozen=True)
class Outcome:
    """What came of it: lines about what is ``left`` here, ``clips`` that still show the person, versions, remotes, and
    what of DVC's listings git's history names."""

    left: list[str]
    clips: list[Path]
    versions: list[Use]
    copies: list[Copy]
    commits: dict[str, list[str]]


def survey(target: Target) -> Survey:
    """Look for everything; nothing is changed.

    Raises:
        FaceReconError: nothing of that name is known; ZenML, MLflow or DVC does not answer.
    """
    begun = _begun(target)
    try:
        traces = traces_of(target, (m for m, _ in _manifests()), _roots(), PROJECT, state_folder() / "frames")
    except FaceReconError:
        if begun is None:
            raise
        traces = []
    found = Survey(target, traces)
    if begun is not None:
        found = dataclasses.replace(
            begun, traces=sorted({*begun.traces, *traces}, key=lambda trace: (trace.root, trace.uri, trace.sha256))
        )
    _survey_zenml(found)
    _survey_members(found)
    _survey_mlflow(found)
    _survey_outputs(found)
    found.data = sorted({*found.data, *map(str, files_of(found.traces, target))})
    kept = dvc_objects.kept_of(map(Path, found.data), [*map(Path, found.files), *_published(found)])
    found.kept = Kept(*(tuple(sorted({*a, *b})) for a, b in zip(_pair(found.kept), _pair(kept), strict=True)))
    return found


def uses(found: Survey) -> list[Use]:
    """The registered versions that were made with the person, by model and number."""
    told: list[Use] = []
    client = _mlflow()
    if client is None:
        return told
    for model in registered_models(client):
        for version in versions_of(client, model.name):
            photos = found.manifests.get(version.tags.get("manifest_digest", ""), {})
            if any(photos.values()):
                aliases = sorted(a for a, number in model.aliases.items() if int(number) == int(version.version))
                told.append(Use(model.name, int(version.version), tuple(aliases), photos))
    return told


def forget(found: Survey, reason: str) -> Outcome:
    """Remove what the survey found and see that it is gone; ``reason`` is kept with the tombstones.

    Raises:
        FaceReconError: a reason that names the person; ZenML, MLflow or DVC does not answer.
    """
    check_reason(found, reason)
    _write(found)
    facts = facts_of(found.traces, found.target)
    tombstones = Tombstones.read(PROJECT).bury(facts, datetime.now(UTC).date().isoformat(), reason)
    tombstones.write(PROJECT)
    found.ids = tombstones.ids_of(facts)
    _write(found)
    _write_members(found, tombstones)
    versions = uses(found)
    left = remove_photos(found.traces, found.target, PROJECT)
    remove_frames(found.traces, found.target, state_folder() / "frames")
    remove_crops(found.sha256s, state_folder() / "crops")
    for path in map(Path, found.files):
        path.unlink(missing_ok=True)
    _clear_mlflow(found, versions)
    _clear_zenml(found)
    left += dvc_objects.update(map(Path, found.data), found.kept)
    left += dvc_objects.remove(found.kept)
    left += _in_git(found)
    left += _sweep(found)
    outcome = Outcome(
        left=left,
        clips=clips_left(found.traces, found.target),
        versions=versions,
        copies=dvc_objects.copies(found.kept),
        commits=dvc_objects.commits_naming(found.kept.listings),
    )
    _work().unlink(missing_ok=True)
    return outcome


def check_reason(found: Survey, reason: str) -> None:
    """Raise FaceReconError if the reason, which travels with git, names who is to be forgotten."""
    names = {found.target.name, *(trace.identity for trace in found.traces)} - {""}
    if any(name.casefold() in reason.casefold() for name in names):
        raise FaceReconError(
            "--reason: it names who is to be forgotten, and it is kept in git: say it without the name"
        )


def _work() -> Path:
    return state_folder() / "forgetting.json"


def _write(found: Survey) -> None:
    write_json(_work(), dataclasses.asdict(found))


def _stored() -> Survey | None:
    try:
        stored = json.loads(_work().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    traces = [Trace(**trace) for trace in stored.pop("traces")]
    kept = Kept(*(tuple(stored["kept"][name]) for name in ("objects", "listings")))
    return Survey(**stored | {"target": Target(**stored["target"]), "traces": traces, "kept": kept})


def _begun(target: Target) -> Survey | None:
    stored = _stored()
    if stored is not None and stored.target != target:
        raise FaceReconError(
            f"an earlier `facerecon forget --{stored.target.kind} {stored.target.name!r}` was not finished: "
            "give that command again first"
        )
    return stored


def _pair(kept: Kept) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return kept.objects, kept.listings


def _roots() -> list[tuple[str, Path]]:
    """Every (source, data root) of manifests and named configs; and, of no source, the folder that DVC tracks."""
    found = {("", str(PROJECT / "data"))}
    for file in sorted((PROJECT / "configs").glob("*.yaml")):
        try:
            data = DataSettings(**(yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"].get("data") or {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
            continue  # a run with it says what is wrong
        found.add((data.source, str(PROJECT / Path(data.path).expanduser())))
    for manifest, _ in _manifests():
        found |= {(source, manifest.root) for source in manifest.faces["source"].unique()}
    return [(source, Path(root)) for source, root in sorted(found)]


def _pages(ask: Callable[..., Any], **options: Any) -> Iterator[Any]:
    number = 1
    while True:
        page = ask(page=number, size=100, **options)
        yield from page.items
        if number >= page.total_pages:
            return
        number += 1


def _artifact_store() -> Any:
    """The id of this clone's artifact store; None where no stack was registered. ZenML may serve other clones too."""
    from zenml.client import Client
    from zenml.enums import StackComponentType

    found = Client().list_stack_components(name=stack_name(), type=StackComponentType.ARTIFACT_STORE).items
    return found[0].id if found else None


def _steps() -> list[Any]:
    """All steps that ran on this clone's stack."""
    from zenml.client import Client

    stacks = Client().list_stacks(name=stack_name()).items
    runs = {run.id for stack in stacks for run in _pages(Client().list_pipeline_runs, stack_id=stack.id)}
    return [step for run in runs for step in _pages(Client().list_run_steps, pipeline_run_id=run, hydrate=True)]


def _manifests() -> Iterator[tuple[Manifest, list[str]]]:
    """Each manifest that can still be read, once, with the ids of the artifacts that hold it."""
    from zenml.client import Client

    same: dict[str, list[Any]] = {}
    store = _artifact_store()
    for artifact in [] if store is None else _pages(Client().list_artifact_versions, artifact_store_id=store):
        if artifact.materializer.attribute == "ManifestMaterializer":
            same.setdefault(str(artifact.content_hash or artifact.id), []).append(artifact)
    for artifacts in same.values():
        for artifact in artifacts:
            try:
                manifest = artifact.load()
            except Exception:  # whatever its reader says: it is gone or damaged; the next may be whole
                continue
            yield manifest, [str(one.id) for one in artifacts]
            break


def _survey_zenml(found: Survey) -> None:
    """Manifests that have a row about the person, and what else the runs with them hold."""
    from zenml.client import Client

    artifacts, uris = set(found.artifacts), {(trace.root, trace.uri) for trace in found.traces}
    for manifest, ids in _manifests():
        about = _about(manifest, found.sha256s, {uri for root, uri in uris if root == manifest.root})
        if about is not None:
            found.manifests[manifest.digest] = about
            artifacts |= set(ids)
    steps, runs = _steps(), set()
    for step in steps:
        if not artifacts.isdisjoint(str(one.id) for one in (*_made(step), *_given(step))):
            runs.add(step.pipeline_run_id)
    for step in steps:
        if step.pipeline_run_id in runs:
            artifacts |= {str(one.id) for one in _made(step) if one.materializer.attribute not in WITHOUT_PICTURES}
    names = {Client().get_pipeline_run(run).name for run in runs}
    found.artifacts, found.pipelines = sorted(artifacts), sorted({*found.pipelines, *names})


def _members() -> Path:
    """Folder of who was in the manifests that were removed: a later request must know which models it concerns."""
    return state_folder() / "members"


def _write_members(found: Survey, tombstones: Tombstones) -> None:
    """Keep keyed hashes of the photos in each manifest that goes, by split; they name nobody."""
    for manifest, _ in _manifests():
        path = _members() / f"{manifest.digest}.json"
        if manifest.digest in found.manifests and not path.exists():
            splits = manifest.faces.drop_duplicates("sha256").groupby("split")["sha256"]
            write_json(path, {str(split): sorted(_members_of(tombstones, shas)) for split, shas in splits})


def _survey_members(found: Survey) -> None:
    """Manifests that were removed before, for somebody else, and had the person too."""
    tombstones = Tombstones.read(PROJECT)
    wanted = _members_of(tombstones, found.sha256s) if tombstones.key else set()
    for path in _members().glob("*.json"):
        members = json.loads(path.read_text(encoding="utf-8"))
        about = {split: len(wanted.intersection(members.get(split, ()))) for split in SPLITS}
        if any(about.values()):
            found.manifests.setdefault(path.stem, about)


def _members_of(tombstones: Tombstones, sha256s: Iterable[str]) -> set[str]:
    return {tombstones.hash_of(photo_fact(sha256))[:16] for sha256 in sha256s}


def _about(manifest: Manifest, sha256s: set[str], uris: set[str]) -> dict[str, int] | None:
    """How many of these photos are in each split of a manifest; None where it has no row about any."""
    faces, quarantine = manifest.faces, manifest.quarantine
    rows = faces[faces["sha256"].isin(sha256s) | faces["uri"].isin(uris)]
    named = quarantine["uri"].isin(uris) | quarantine["reason"].map(lambda reason: any(uri in reason for uri in uris))
    if rows.empty and not named.any():
        return None
    return {split: int(rows[rows["split"] == split]["sha256"].nunique()) for split in SPLITS}


def _made(step: Any) -> list[Any]:
    return [artifact for artifacts in step.outputs.values() for artifact in artifacts]


def _given(step: Any) -> list[Any]:
    return [artifact for artifacts in step.inputs.values() for artifact in artifacts]


def _mlflow() -> MlflowClient | None:
    """A client of the tracker; None where nothing was ever tracked in this clone."""
    there = (state_folder() / "mlflow.db").is_file() or tracking_uri() != mlflow.get_tracking_uri()
    return connect() if there else None


def _survey_mlflow(found: Survey) -> None:
    client = _mlflow()
    if client is None:
        return
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = [] if experiment is None else all_runs(client, experiment.experiment_id)
    hit = {
        run.info.run_id
        for run in runs
        if run.data.tags.get("manifest_digest") in found.manifests or run.info.run_name in found.pipelines
    }
    found.runs = sorted({*found.runs, *hit})


def _survey_outputs(found: Survey) -> None:
    """What runs with the person published last, and copies of reports that were looked at."""
    files = set(found.files)
    for folder in filter(Path.is_dir, outputs_folder().glob("*")):
        try:
            made_of = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["data"]
        except (OSError, ValueError, KeyError):
            made_of = None  # not known: what it has of pictures goes
        if made_of is None or made_of in found.manifests:
            files |= {str(path) for path in folder.rglob("*") if path.is_file() and not _stays(path, found)}
    for run in found.runs:
        files |= {str(path) for path in (state_folder() / "reports" / run).rglob("*") if path.is_file()}
    found.files = sorted(files)


def _stays(path: Path, found: Survey) -> bool:
    return path.suffix in STAYS and not _Needles(found).within(path)


def _published(found: Survey) -> Iterator[Path]:
    """Files that runs published and that go from MLflow: DVC may keep them as outputs of its stage."""
    for run in found.runs:
        repository = get_artifact_repository(connect().get_run(run).info.artifact_uri)
        folder = getattr(repository, "artifact_dir", None)
        if folder is not None:
            yield from (path for path in Path(folder).rglob("*") if path.is_file() and not _stays(path, found))


def _clear_mlflow(found: Survey, versions: list[Use]) -> None:
    """Pictures and tables go from the runs; runs and versions that were trained on the person are tagged."""
    if not (found.runs or versions):
        return
    client = connect()
    for run_id in found.runs:
        repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
        for path in _artifacts(client, run_id):
            if Path(path).suffix not in STAYS or _names_person(client, run_id, path, found):
                repository.delete_artifacts(path)
        client.set_tag(run_id, TAG, _joined(client.get_run(run_id).data.tags.get(TAG), found.ids))
    for use in versions:
        if use.photos.get("train"):
            version: ModelVersion = client.get_model_version(use.model, str(use.version))
            client.set_model_version_tag(use.model, str(use.version), TAG, _joined(version.tags.get(TAG), found.ids))


def _joined(before: str | None, ids: Iterable[str]) -> str:
    return ",".join(sorted({*filter(None, (before or "").split(",")), *ids}))


def _artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    entries: list[FileInfo] = client.list_artifacts(run_id, folder)
    for entry in entries:
        if entry.is_dir:
            yield from _artifacts(client, run_id, entry.path)
        else:
            yield entry.path


def _names_person(client: MlflowClient, run_id: str, path: str, found: Survey) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return _Needles(found).within(Path(client.download_artifacts(run_id, path, folder)))


def _clear_zenml(found: Survey) -> None:
    """Contents of artifacts go from the artifact store, what failed steps said of the person with their runs.

    What ZenML's database knows of an artifact, counts and digests, stays: it deletes nothing that a run has used. Its
    cache passes over steps whose artifacts are gone (``ops.verified_cache``).
    """
    from zenml.client import Client
    from zenml.io import fileio

    client, needles = Client(), _Needles(found)
    for artifact in found.artifacts:
        try:
            if fileio.exists(client.get_artifact_version(artifact).uri):
                client.delete_artifact_version(artifact, delete_metadata=False, delete_from_artifact_store=True)
        except KeyError:
            continue  # it went with its run
    for step in _steps():
        if needles.within_text(f"{step.exception_info} {step.run_metadata}"):
            try:
                client.delete_pipeline_run(step.pipeline_run_id)
            except KeyError:
                continue  # with another of its steps


def _in_git(found: Survey) -> list[str]:
    """A line for each photo that git itself has: its history is not rewritten here."""
    paths = [path for path in map(Path, found.data) if path.is_relative_to(PROJECT)]
    return [
        f"{shown_path(path, PROJECT)}: git's history has it (commit {commits[0]} and {len(commits) - 1} more): "
        "rewrite it, with git filter-repo for example"
        for path in paths
        if (commits := git("log", "--all", "--format=%h", "--", str(path)).split())
    ]


class _Needles:
    """What must not be found any more: names of photos, digests, the identity's name where it is a word of its own."""

    def __init__(self, found: Survey) -> None:
        self._digests = {digest.encode() for digest in (*found.sha256s, *found.kept.objects)}
        words = {trace.uri for trace in found.traces}
        if found.target.kind != "identity" or _telling(found.target.name):
            words.add(found.target.name)
        forms = {form for word in words for form in (word, json.dumps(word)[1:-1])}
        escaped = b"|".join(re.escape(form.encode("utf-8", "surrogateescape")) for form in sorted(forms))
        self._words = re.compile(rb"(?<![\w-])(?:" + escaped + rb")(?![\w-])" if forms else rb"(?!)")

    def within_text(self, text: str) -> bool:
        return self.within_bytes(text.encode("utf-8", "surrogateescape"))

    def within_bytes(self, content: bytes) -> bool:
        digests = re.findall(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", content)
        return not self._digests.isdisjoint(digests) or self._words.search(content) is not None

    def within(self, path: Path) -> bool:
        try:
            return self.within_bytes(path.read_bytes())
        except OSError:
            return False


def _telling(name: str) -> bool:
    """Whether a name, met as a word, is more than a number that anything may have."""
    return len(name) >= 4 and not name.isdigit()


def _sweep(found: Survey) -> list[str]:
    """Look through state and outputs for what still names the person: logs of runs go, the rest is told."""
    needles, left = _Needles(found), []
    passed_over = {state_folder() / name for name in ("crops", "frames", "checkpoints", "masks")}
    for path in _swept(passed_over):
        if path == _work() or not needles.within(path):
            continue
        if path.suffix == ".log" or "logs" in path.parts:
            path.unlink(missing_ok=True)
        elif path.suffix == ".db" and _vacuumed(path) and not needles.within(path):
            continue
        else:
            left.append(f"{shown_path(path, PROJECT)}: names the person still: remove it, or the lines in it")
    return left


def _swept(passed_over: set[Path]) -> Iterator[Path]:
    from zenml.config.global_config import GlobalConfiguration

    store = GlobalConfiguration().store_configuration.url
    if store.startswith("sqlite:///"):
        yield Path(store.removeprefix("sqlite:///"))
    for top in (state_folder(), outputs_folder()):
        for path in sorted(top.rglob("*")):
            if path.is_file() and not passed_over.intersection(path.parents):
                yield path


def _vacuumed(path: Path) -> bool:
    """Rewrite a database without what was deleted from it; whether that could be done."""
    try:
        database = sqlite3.connect(path, timeout=10)
        try:
            database.execute("VACUUM")
        finally:
            database.close()
    except sqlite3.Error:
        return False
    return True
