"""ZenML's models follow MLflow's registry: champion in production, challenger in staging."""

import logging
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.models import ModelResponse, ModelVersionResponse

from facerecon.errors import FaceReconError
from ops.promotion import reconcile
from ops.registry import CHALLENGER, CHAMPION, connect, registered_models, versions_of

LOG = logging.getLogger(__name__)

STAGES = {CHAMPION: ModelStages.PRODUCTION, CHALLENGER: ModelStages.STAGING}


def start_up(tracker: str) -> None:
    """At a pipeline's start: complete what was begun in the registry at the address ``tracker``, and let ZenML follow.

    A registry that does not answer is told of in one line; the step that needs it will say so as an error.
    """
    mlflow.set_tracking_uri(tracker)
    try:
        reconcile()
    except FaceReconError as error:
        LOG.warning("the registry is not reconciled now: %s", error.message)
    else:
        follow()


def follow() -> None:
    """Bring ZenML's models in line with MLflow's registry; what is so already is not touched.

    A version is called ``mlflow-<number>``, because ZenML numbers its own. ZenML is no judge: if it cannot be reached,
    one line says so and the next start makes up for it.
    """
    try:
        client, zenml = connect(), Client()
        for model in registered_models(client):
            _follow_model(client, zenml, model)
    # whatever ZenML or its database raises, a promotion that MLflow has recorded stands
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        LOG.warning("ZenML's models do not follow MLflow's registry now, the next start makes up for it: %s", said[0])


def _follow_model(client: MlflowClient, zenml: Client, model: RegisteredModel) -> None:
    known = _zenml_model(zenml, model.name)
    there = {version.name: version for version in _all_versions(zenml, known)}
    aliases = {alias: int(number) for alias, number in model.aliases.items() if alias in STAGES}
    versions = versions_of(client, model.name)
    for version in versions:
        if _name(version) not in there:
            there[_name(version)] = zenml.create_model_version(known.id, name=_name(version))
        _describe(model.name, version, there[_name(version)])
    # archived first: ZenML has one version a stage
    for version in sorted(versions, key=lambda version: int(version.version) in aliases.values()):
        held = [alias for alias in STAGES if aliases.get(alias) == int(version.version)]
        _set_stage(zenml, known, there[_name(version)], held)


def _name(version: ModelVersion) -> str:
    return f"mlflow-{version.version}"


def _zenml_model(zenml: Client, name: str) -> ModelResponse:
    try:
        return zenml.get_model(name, bypass_lazy_loader=True)
    except KeyError:
        return zenml.create_model(name, save_models_to_registry=False)


def _all_versions(zenml: Client, model: ModelResponse) -> list[ModelVersionResponse]:
    found: list[ModelVersionResponse] = []
    page = zenml.list_model_versions(model=model.id, hydrate=True, size=100)
    found += page.items
    for number in range(2, page.total_pages + 1):
        found += zenml.list_model_versions(model=model.id, hydrate=True, size=100, page=number).items
    return found


def _describe(name: str, version: ModelVersion, there: ModelVersionResponse) -> None:
    tags = version.tags
    told: dict[str, Any] = {
        **{"mlflow_model": name, "mlflow_version": int(version.version), "mlflow_run": version.run_id or ""},
        **{key: tags.get(key, "") for key in ("weights_digest", "manifest_digest", "decision")},
    }
    if any(there.run_metadata.get(key) != value for key, value in told.items()):
        log_metadata(metadata=told, model_name=name, model_version=str(there.name))


def _set_stage(zenml: Client, model: ModelResponse, there: ModelVersionResponse, held: list[str]) -> None:
    """Stage and tags by the aliases that the version has: the champion's stage goes before the challenger's."""
    stage = STAGES[held[0]] if held else ModelStages.ARCHIVED
    tags = {tag.name for tag in there.tags} & set(STAGES)
    outdated = there.stage in set(STAGES.values()) if not held else there.stage != stage
    if outdated or tags != set(held):
        zenml.update_model_version(
            model.id,
            there.id,
            stage=stage if outdated else None,
            force=True,
            add_tags=sorted(set(held) - tags) or None,
            remove_tags=sorted(tags - set(held)) or None,
        )
