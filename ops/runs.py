"""Finding a run by what a user calls it."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from facerecon.errors import FaceReconError
from ops.registry import connect, find_version
from ops.stack.tracker import EXPERIMENT


def find_run(text: str) -> Run:
    """The MLflow run that a user means: its id or the beginning of it, its name, or a version such as ``demo/3``.

    Raises:
        FaceReconError: none, or several.
    """
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = [] if experiment is None else all_runs(client, experiment.experiment_id)
    found = [run for run in runs if text and (run.info.run_id.startswith(text) or run.info.run_name == text)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in found[:3])
        raise FaceReconError(f"'{text}' is the beginning of {len(found)} runs ({names}, ...): give more of the id")
    if not any(mark in text for mark in "/@") and not text.isdigit():
        latest = f"the latest is {runs[0].info.run_id} ({runs[0].info.run_name})" if runs else "there is none yet"
        raise FaceReconError(f"no run is called '{text}': give a run's id or name, or a version as demo/3; {latest}")
    version = find_version(text)
    if not version.run_id:
        raise FaceReconError(f"version {version.version} of {version.name} was not registered by a run")
    return client.get_run(version.run_id)


def all_runs(client: MlflowClient, experiment: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    """Every run of an experiment, the newest first; by another ``view`` those that were deleted, too."""
    runs: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment], run_view_type=view, order_by=["attributes.start_time DESC"], page_token=token or None
        )
        runs += page
        token = page.token or None
    return runs


def fetch(run: Run, path: str, folder: Path) -> Path:
    """Copy one of the run's files from MLflow into ``folder``.

    Raises:
        FaceReconError: the run has no such file, or it is gone.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{path}", dst_path=str(folder)))
    except (OSError, mlflow.MlflowException) as error:
        raise FaceReconError(
            f"run {run.info.run_name} has no {path} in MLflow (did it end early?): choose another run"
        ) from error
