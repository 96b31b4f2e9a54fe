"""What MLflow keeps: runs and registered versions that were made with a person."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import FileInfo
from mlflow.entities.model_registry import ModelVersion
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


def find_runs(found: Survey) -> None:
    """Runs that were made with one of the manifests, or in one of the pipeline's runs."""
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


def published(found: Survey) -> Iterator[Path]:
    """Files that runs published and that go from MLflow: DVC may keep them as outputs of its stage."""
    for run in found.runs:
        repository = get_artifact_repository(connect().get_run(run).info.artifact_uri)
        folder = getattr(repository, "artifact_dir", None)
        if folder is not None:
            yield from (path for path in Path(folder).rglob("*") if path.is_file() and not stays(path, found))


def clear_runs(found: Survey, versions: list[Use]) -> None:
    """Pictures and tables go from the runs; runs and versions that were trained on the person are tagged."""
    if not (found.runs or versions):
        return
    client = connect()
    for run_id in found.runs:
        repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
        for path in files_of_run(client, run_id):
            if Path(path).suffix not in STAYS or _names_person(client, run_id, path, found):
                repository.delete_artifacts(path)
        client.set_tag(run_id, TAG, _joined(client.get_run(run_id).data.tags.get(TAG), found.ids))
    for use in versions:
        if use.photos.get("train"):
            version: ModelVersion = client.get_model_version(use.model, str(use.version))
            client.set_model_version_tag(use.model, str(use.version), TAG, _joined(version.tags.get(TAG), found.ids))


def files_of_run(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    """The paths of a run's artifacts, those in its folders too."""
    entries: list[FileInfo] = client.list_artifacts(run_id, folder)
    for entry in entries:
        if entry.is_dir:
            yield from files_of_run(client, run_id, entry.path)
        else:
            yield entry.path


def _mlflow() -> MlflowClient | None:
    """A client of the tracker; None where nothing was ever tracked in this clone."""
    there = (state_folder() / "mlflow.db").is_file() or local_uri() != mlflow.get_tracking_uri()
    return connect() if there else None


def _joined(before: str | None, ids: Iterable[str]) -> str:
    return ",".join(sorted({*filter(None, (before or "").split(",")), *ids}))


def _names_person(client: MlflowClient, run_id: str, path: str, found: Survey) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return Needles(found).within(Path(client.download_artifacts(run_id, path, folder)))
