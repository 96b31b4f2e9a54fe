"""What servers keep of a person beside what runs made: objects, logs, rows, and what stays in files after removal."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, state_folder
from ops.forget import zenml_artifacts
from ops.forget.mlflow_runs import every_run, files_below, naming, tracker
from ops.forget.needles import Needles
from ops.forget.record import Survey
from ops.runs import all_runs
from ops.shared.place import ERRORS, bucket_at, shared_place
from ops.shared.s3 import Bucket
from ops.stack.files import read_variables
from ops.stack.tracker import EXPERIMENT, is_local, local_uri

SERVICES = "services"
"""The folder in the state folder in which `make services` keeps what its servers hold."""

WEIGHTS = frozenset({".data", ".onnx", ".safetensors"})
"""Files that hold numbers alone: they are not fetched from servers to see whom they name."""


def sweep_servers(found: Survey) -> list[str]:
    """Look through all that the stack's servers keep for what still names the person.

    Logs of steps and files of traces go, the rest is told.
    """
    if is_local():
        return []
    needles, left = Needles(found), list[str]()
    for address, bucket in _buckets():
        try:
            left += _swept(address, bucket, needles)
        except ERRORS as error:
            said = " ".join(str(error).split())[:200]
            raise FaceReconError(
                f"the S3 server of {address} refuses or does not answer ({said}): see that it runs, then give the "
                "command again: it goes on where it was"
            ) from error
    return [*left, *_sweep_mlflow(found), *_sweep_zenml(needles), *_elsewhere(found)]


def _buckets() -> Iterator[tuple[str, Bucket]]:
    """The artifact stores of the registry's stacks and its shared place, each with its address."""
    from zenml.stack import StackComponent

    for store in zenml_artifacts.artifact_stores():
        config: Any = StackComponent.from_model(store).config
        yield str(config.path), bucket_at(str(config.path), config)
    if (place := shared_place()) is not None:
        yield "the shared place", place


def _swept(address: str, bucket: Bucket, needles: Needles) -> Iterator[str]:
    if bucket.keeps_versions():
        yield f"{address}: its bucket keeps older versions of what is removed: remove these (`aws s3api`)"
    for name in bucket.names():
        path = PurePosixPath(name)
        if path.suffix in WEIGHTS or (held := bucket.read(name)) is None or not needles.within_bytes(held.content):
            continue
        if path.suffix == ".log" or "logs" in path.parts:
            bucket.remove(name)
        else:
            yield f"{address}: the object {name} names the person still: remove it, or the lines in it"


def _sweep_mlflow(found: Survey) -> Iterator[str]:
    """Files of all runs, models and traces, also of those that MLflow knows no more."""
    client = tracker()
    experiment = None if client is None else client.get_experiment_by_name(EXPERIMENT)
    if client is None or experiment is None:
        return
    repository = get_artifact_repository(experiment.artifact_location)
    runs, seen = {run.info.run_id for run in every_run(client)}, set(found.runs)
    paths = [path for path in files_below(repository) if path.partition("/")[0] not in seen]
    for path in sorted(naming(repository, [p for p in paths if PurePosixPath(p).suffix not in WEIGHTS], found)):
        if path.startswith("traces/"):
            repository.delete_artifacts(path)
        else:
            yield f"{experiment.artifact_location}/{path}: names the person still: remove it"
    for top in sorted({path.partition("/")[0] for path in paths} - runs - {"models", "traces"}):
        yield f"{experiment.artifact_location}/{top}: of a run that MLflow has no more, may show the person: remove it"


def _sweep_zenml(needles: Needles) -> Iterator[str]:
    """What ZenML's server answers about runs, steps, artifacts and models."""
    from zenml.client import Client

    client = Client()
    for run in zenml_artifacts.pipeline_runs():
        steps = zenml_artifacts.steps_of(run)
        if any(needles.within_text(each.model_dump_json()) for each in (run, *steps)):
            yield f"ZenML's run {run.name} names the person still: remove it with `zenml pipeline runs delete {run.id}`"
        if not run.status.is_finished:
            yield (
                f"ZenML's run {run.name} has not ended: if it is under way on another machine, end it and give the "
                f"command again; if it was killed, remove it with `zenml pipeline runs delete {run.id}`"
            )
    for store in zenml_artifacts.artifact_stores():
        for artifact in zenml_artifacts.pages(client.list_artifact_versions, artifact_store_id=store.id, hydrate=True):
            if needles.within_text(artifact.model_dump_json()):
                yield f"ZenML's artifact {artifact.id} names them still: `zenml artifact version delete {artifact.id}`"
    for model in zenml_artifacts.pages(client.list_models, hydrate=True):
        for version in zenml_artifacts.pages(client.list_model_versions, model=model.id, hydrate=True):
            if needles.within_text(version.model_dump_json()):
                client.delete_model_version(version.id)  # the next run makes it anew of MLflow's version
        if needles.within_text(model.model_dump_json()):
            yield f"ZenML's model {model.name} names the person still: `zenml model delete {model.name}`"


def _elsewhere(found: Survey) -> Iterator[str]:
    """Machines that have, or had, the person's data; and this clone's own stack."""
    for root in sorted({trace.root for trace in found.traces if not Path(trace.root).is_dir()}):
        yield f"{root}: a run read the person's data there, and it is not on this machine: give the command where it is"
    own = state_folder() / "mlflow.db"
    if own.is_file():
        client = mlflow.MlflowClient(local_uri())
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None and all_runs(client, experiment.experiment_id):
            yield "this clone's own stack has runs, too: `facerecon stack`, then the same command"


def compact() -> list[str]:
    """Take what was removed out of the servers' files; a line for what cannot be done, or was not found gone.

    Databases and SeaweedFS only mark rows and objects as removed. What can be done about it needs the databases'
    passwords: those of `make services` lie in the clone that started the servers.
    """
    if is_local():
        return []
    folder = state_folder() / SERVICES
    if read_variables(folder / "environment").get("FACERECON_MLFLOW_URL") != mlflow.get_tracking_uri():
        return [
            "the servers' files may hold what was removed: of `make services`, run `python -m infra.services compact` "
            "in the clone that started them; else `VACUUM FULL` in MLflow's database; in ZenML's `DELETE FROM "
            "run_metadata WHERE id NOT IN (SELECT run_metadata_id FROM run_metadata_resource)`, then `OPTIMIZE TABLE` "
            "of its tables; and what your S3 has for it"
        ]
    command = (sys.executable, "-m", "infra.services", "compact")
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1].removeprefix("Error: ")
        return [f"the servers' files may hold what was removed ({said}): run `python -m infra.services compact`"]
    return []
