"""What MLflow's database says of a person: tags, descriptions and traces go, what its API cannot change is told."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run, Trace
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils import get_results_from_paginated_fn
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION

from ops.forget.mlflow_runs import every_run, restored, tracker
from ops.forget.needles import Needles
from ops.forget.record import Survey
from ops.registry import registered_models, versions_of
from ops.stack.tracker import EXPERIMENT, REGISTRY

NAMES = frozenset(
    {
        *("config", "task", "parent", "initial_weights_from", "mlflow.runName", "trained_in_run", "repeats_run"),
        *("weights_uri", "decisions", "decision_record", "learned_record", "champions", REGISTRY),
    }
)
"""Tags by which configs, runs and files are found: where one holds a person's name it is told, and stays."""

_PAGE = 100


def clear_rows(found: Survey) -> list[str]:
    """Take the person out of what MLflow's API can change; a line for each place that names them still."""
    client = tracker()
    if client is None:
        return []
    needles = Needles(found)
    lines = [*_of_experiment(client, needles), *_of_registry(client, needles)]
    for run in every_run(client):
        lines += _of_run(client, run, needles)
    return [f"MLflow's {line}" for line in lines]


def _of_experiment(client: MlflowClient, needles: Needles) -> Iterator[str]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return
    number = experiment.experiment_id
    _change(
        _changed(experiment.tags, needles),
        partial(client.delete_experiment_tag, number),
        partial(client.set_experiment_tag, number),
    )
    traces: list[Trace] = get_results_from_paginated_fn(
        lambda most, token: client.search_traces(locations=[number], max_results=most, page_token=token), _PAGE
    )
    about = [trace.info for trace in traces if needles.within_text(trace.to_json())]
    for info in about:
        # MLflow leaves what it keeps of a trace in a file
        if place := info.tags.get(MLFLOW_ARTIFACT_LOCATION):
            get_artifact_repository(place).delete_artifacts()
    if about:
        client.delete_traces(number, trace_ids=[info.trace_id for info in about])
    logged: list[LoggedModel] = get_results_from_paginated_fn(
        lambda most, token: client.search_logged_models([number], max_results=most, page_token=token), _PAGE
    )
    for model in logged:

        def put(key: str, value: str, number: str = model.model_id) -> None:
            client.set_logged_model_tags(number, {key: value})

        _change(_changed(model.tags, needles), partial(client.delete_logged_model_tag, model.model_id), put)
        yield from _told(f"logged model {model.model_id}", model.tags, needles, [model.name, model.params])


def _of_registry(client: MlflowClient, needles: Needles) -> Iterator[str]:
    for model in registered_models(client):
        _change(
            _changed(model.tags, needles),
            partial(client.delete_registered_model_tag, model.name),
            partial(client.set_registered_model_tag, model.name),
        )
        if needles.within_text(model.description or ""):
            client.update_registered_model(model.name, needles.replaced(str(model.description)))
        yield from _told(f"registered model {model.name}", model.tags, needles, [model.name, model.aliases])
        for version in versions_of(client, model.name):
            _change(
                _changed(version.tags, needles),
                partial(client.delete_model_version_tag, model.name, version.version),
                partial(client.set_model_version_tag, model.name, version.version),
            )
            if needles.within_text(version.description or ""):
                client.update_model_version(model.name, version.version, needles.replaced(str(version.description)))
            yield from _told(f"version {version.version} of {model.name}", version.tags, needles, [version.source])


def _of_run(client: MlflowClient, run: Run, needles: Needles) -> Iterator[str]:
    number = run.info.run_id
    if changed := _changed(run.data.tags, needles):
        with restored(client, run):
            _change(changed, partial(client.delete_tag, number), partial(client.set_tag, number))
    for key, value in run.data.params.items():
        if needles.within_text(f"{key} {value}"):
            yield (
                f"run {number}: its parameter {key} names the person still, and MLflow changes none: in its database "
                f"`DELETE FROM params WHERE run_uuid = '{number}' AND key = '{key}'`"
            )
    inputs = None if run.inputs is None else run.inputs.to_dictionary()
    yield from _told(f"run {number}", run.data.tags, needles, [run.info.run_name, inputs])


def _change(tags: Mapping[str, str | None], delete: Callable[[str], None], put: Callable[[str, str], Any]) -> None:
    """Delete the tags that have no value, and write the others."""
    for key, value in tags.items():
        if value is None:
            delete(key)
        else:
            put(key, value)


def _changed(tags: Mapping[str, str], needles: Needles) -> dict[str, str | None]:
    """The tags that name the person, with what they say instead; None: a tag whose key names them goes."""
    return {
        key: None if needles.within_text(key) else needles.replaced(value)
        for key, value in tags.items()
        if key not in NAMES and needles.within_text(f"{key}\n{value}")
    }


def _told(what: str, tags: Mapping[str, str], needles: Needles, fixed: list[Any]) -> Iterator[str]:
    if keys := [key for key in sorted(NAMES & tags.keys()) if needles.within_text(tags[key])]:
        yield f"{what}: its tags {', '.join(keys)} name the person, or what is called the same: see whether they stay"
    if needles.within_text(f"{fixed}"):
        yield f"{what}: what MLflow does not change of it names the person still: delete it, then run `mlflow gc`"
