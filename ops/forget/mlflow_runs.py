"""What MLflow keeps: runs and registered versions that were made with a person."""

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from facerecon.workspace import state_folder
from ops.forget.needles import Needles
from ops.forget.outputs import STAYS, stays
from ops.forget.record import Survey
from ops.registry import config_of, connect, registered_models, versions_of
from ops.runs import all_runs
from ops.stack.tracker import EXPERIMENT, local_uri

TAG = "forgotten"
"""On runs and versions: the tombstones' groups that hold photos they were made with."""


READERS = 4
"""So many files are asked of a server at once."""


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


def uses(found: Survey) -> list[Use]:
    """The registered versions that were made with the person, by model and number."""
    told: list[Use] = []
    client = tracker()
    if client is None:
        return told
    for model in registered_models(client):
        for version in versions_of(client, model.name):
            photos = found.manifests.get(version.tags.get("manifest_digest", ""), {})
            if any(photos.values()):
                aliases = sorted(a for a, number in model.aliases.items() if int(number) == int(version.version))
                told.append(Use(model.name, int(version.version), tuple(aliases), photos))
    return told


def find_runs(found: Survey) -> None:
    """Runs that were made with one of the manifests, or in one of the pipeline's runs; deleted ones, too."""
    client = tracker()
    if client is None:
        return
    hit = {
        run.info.run_id
        for run in every_run(client)
        if run.data.tags.get("manifest_digest") in found.manifests or run.info.run_name in found.pipelines
    }
    found.runs = sorted({*found.runs, *hit})


@contextmanager
def published(found: Survey) -> Iterator[list[Path]]:
    """Files that runs published and that go from MLflow: DVC may keep them as outputs of its stage."""
    with tempfile.TemporaryDirectory() as copies:
        files: list[Path] = []
        for run in found.runs:
            repository = get_artifact_repository(connect().get_run(run).info.artifact_uri)
            folder = getattr(repository, "artifact_dir", None)
            if folder is None:
                # only pictures and pages are fetched from a server: the rest stays, unless it names the person
                paths = [path for path in files_below(repository) if PurePosixPath(path).suffix not in STAYS]
                files += _fetched(repository, paths, Path(copies) / run).values()
            else:
                files += [path for path in Path(folder).rglob("*") if path.is_file() and not stays(path, found)]
        yield files


def clear_runs(found: Survey, versions: list[Use]) -> None:
    """Pictures and tables go from the runs; runs and versions that were trained on the person are tagged."""
    if not (found.runs or versions):
        return
    client = connect()
    for run_id in found.runs:
        run = client.get_run(run_id)
        repository = get_artifact_repository(run.info.artifact_uri)
        paths = files_below(repository)
        may_stay = {path for path in paths if PurePosixPath(path).suffix in STAYS}
        going = set(paths) - may_stay | naming(repository, sorted(may_stay), found)
        for path in _with_whole_folders(going, paths):
            repository.delete_artifacts(path)
        with restored(client, run):
            client.set_tag(run_id, TAG, _joined(run.data.tags.get(TAG), found.ids))
    for use in versions:
        if use.photos.get("train"):
            version: ModelVersion = client.get_model_version(use.model, str(use.version))
            client.set_model_version_tag(use.model, str(use.version), TAG, _joined(version.tags.get(TAG), found.ids))


def every_run(client: MlflowClient) -> list[Run]:
    """Every run of the experiment, those that were deleted and are still there, too."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return [] if experiment is None else all_runs(client, experiment.experiment_id, ViewType.ALL)


@contextmanager
def restored(client: MlflowClient, run: Run) -> Iterator[None]:
    """Inside, a run that was deleted takes tags; it is deleted again after."""
    deleted = run.info.lifecycle_stage == LifecycleStage.DELETED
    if deleted:
        client.restore_run(run.info.run_id)
    try:
        yield
    finally:
        if deleted:
            client.delete_run(run.info.run_id)


def files_below(repository: ArtifactRepository, folder: str | None = None) -> list[str]:
    """The paths of all artifacts, those in folders too."""
    files: list[str] = []
    for entry in repository.list_artifacts(folder):
        files += files_below(repository, entry.path) if entry.is_dir else [entry.path]
    return files


def _with_whole_folders(going: set[str], paths: Iterable[str]) -> list[str]:
    """The paths that go; of a folder of which nothing stays the folder's: a server takes its time for each."""
    staying = {parent for path in paths if path not in going for parent in PurePosixPath(path).parents}
    staying.add(PurePosixPath("."))
    folders = (list(reversed(PurePosixPath(path).parents)) for path in going)
    whole = (
        next((str(f) for f in above if f not in staying), path) for path, above in zip(going, folders, strict=True)
    )
    return sorted(set(whole))


def naming(repository: ArtifactRepository, paths: Iterable[str], found: Survey) -> set[str]:
    """Those of the artifacts in which the person is named."""
    needles = Needles(found)
    with tempfile.TemporaryDirectory() as folder:
        return {path for path, file in _fetched(repository, paths, Path(folder)).items() if needles.within(file)}


def _fetched(repository: ArtifactRepository, paths: Iterable[str], folder: Path) -> dict[str, Path]:
    """Copies of artifacts in ``folder``, by their paths."""
    folder.mkdir(exist_ok=True)
    paths = list(paths)
    with ThreadPoolExecutor(READERS) as pool:
        copies = pool.map(lambda path: Path(repository.download_artifacts(path, str(folder))), paths)
        return dict(zip(paths, copies, strict=True))


def tracker() -> MlflowClient | None:
    """A client of the tracker; None where nothing was ever tracked in this clone."""
    there = (state_folder() / "mlflow.db").is_file() or local_uri() != mlflow.get_tracking_uri()
    return connect() if there else None


def _joined(before: str | None, ids: Iterable[str]) -> str:
    return ",".join(sorted({*filter(None, (before or "").split(",")), *ids}))
