"""The MLflow tracker of the active stack: where it is, how it is reached, and which registry it holds."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import yaml

from facerecon.errors import FaceReconError
from facerecon.files import write_json
from facerecon.workspace import PROJECT, state_folder
from ops.stack.files import LOCAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

EXPERIMENT = "facerecon"
"""The MLflow experiment that holds the runs of all configs, so that they can be compared."""

REGISTRY = "facerecon.registry"
"""The experiment's tag, and the label of a stack's tracker, that say which registry it is."""
SERVER = ("http://", "https://")
SHARED = "facerecon.shared"
"""The label of a stack's tracker that says where machines keep together what the registry needs."""
IMAGE = "facerecon.image"
"""The label of a stack's tracker that says which image steps run in; there is none where they run in this process."""

COMMIT = "facerecon.commit"
"""The label of a stack's tracker that says which commit its images are expected to be made of."""


def local_uri() -> str:
    """MLflow's database in this clone: an explicit address, which `mlflow ui` can be given."""
    return f"sqlite:///{state_folder() / 'mlflow.db'}"


def is_local() -> bool:
    """Whether this clone works on its own stack, without a server. ZenML, which takes seconds, is not imported."""
    chosen, given = _chosen(), os.environ.get("ZENML_ACTIVE_STACK_ID")
    if chosen.get("name", LOCAL) != LOCAL:
        return False
    if "id" not in chosen:
        # a container, where nothing was set up, is told its stack
        return given is None
    return chosen["id"] == (given or _active_stack())


def choose(name: str, stack: str) -> None:
    """Write down which stack this clone was set up for, by its name in ``infra/stacks/`` and its id in ZenML."""
    write_json(_chosen_file(), {"name": name, "id": stack})


def chosen_name() -> str:
    """The stack that this clone was set up for last."""
    return str(_chosen().get("name", LOCAL))


def use_tracker() -> str:
    """Let MLflow speak to the active stack's tracker, with its credentials, and return the tracker's address.

    Raises:
        FaceReconError: the stack has none, it does not answer, or it holds another registry than the stack's.
    """
    import mlflow

    if is_local():
        mlflow.set_tracking_uri(local_uri())
        return local_uri()
    return check_stack()


def check_stack() -> str:
    """As ``use_tracker``, and see, also on this machine's stack, that ZenML can run the pipelines on it."""
    import mlflow

    tracker = active_tracker()
    uri = tracker.get_tracking_uri()
    if uri.startswith(SERVER):
        tracker.configure_mlflow()
        check_registry()
    else:
        mlflow.set_tracking_uri(uri)
    return uri


def active_tracker() -> "MLFlowExperimentTracker":
    """The active stack's tracker.

    Raises:
        FaceReconError: the active stack cannot run the pipelines: it has no MLflow tracker, or is another project's.
    """
    from zenml.client import Client
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

    client = _client()
    stack = client.active_stack
    tracker = stack.experiment_tracker
    again = "`make stack`" if chosen_name() == LOCAL else f"`facerecon stack {chosen_name()}`"
    fix = f"run {again} in the project's root, which registers one and makes it active"
    if tracker is None:
        raise FaceReconError(f"the active ZenML stack '{stack.name}' has no experiment tracker: {fix}")
    if tracker.flavor != "mlflow":
        raise FaceReconError(
            f"the active ZenML stack '{stack.name}' tracks with {tracker.flavor}, not with MLflow: {fix}"
        )
    root = Client.find_repository()
    if root is None or Path(root).resolve() != PROJECT:
        raise FaceReconError(f"this folder belongs to no ZenML project of {PROJECT}: start from there, or {fix}")
    assert isinstance(tracker, MLFlowExperimentTracker)
    return tracker


def create_experiment(client: "MlflowClient | None" = None, name: str = EXPERIMENT) -> None:
    """Create MLflow's experiment, and say on that of trainings which registry this is; only where they are missing.

    On this machine it has an artifact folder of its own (MLflow's default is the current directory); a server knows
    where its artifacts go. It is tagged as model development: what MLflow's page shows first its address says
    (``ops.ui``).
    """
    from mlflow import MlflowClient

    folder = None
    if client is None:
        client = MlflowClient(local_uri())
        folder = state_folder() / "mlflow-artifacts"
        folder.mkdir(parents=True, exist_ok=True)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        number = client.create_experiment(name, artifact_location=None if folder is None else folder.as_uri())
        experiment = client.get_experiment(number)
    client.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "custom_model_development")
    if name == EXPERIMENT and REGISTRY not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, REGISTRY, uuid4().hex)


def registry_of(client: "MlflowClient") -> str | None:
    """Which registry a tracker holds, None if it holds none of this project's."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return None if experiment is None else experiment.tags.get(REGISTRY)


def check_registry() -> None:
    """See that the tracker in use holds the registry that the active stack belongs to; once a process and address.

    With an empty one the next model, however bad, would be the first and so the champion.

    Raises:
        FaceReconError: it holds another, or none.
    """
    import mlflow

    _check_registry(mlflow.get_tracking_uri())


@lru_cache(maxsize=8)
def _check_registry(uri: str) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    wanted = labels().get(REGISTRY)
    try:
        found = registry_of(MlflowClient(uri))
    except MlflowException as error:
        said = " ".join(str(error).split())[:200]
        raise FaceReconError(
            f"the MLflow server at {uri} does not answer as it should ({said}): see that it runs"
        ) from error
    if wanted is None or found != wanted:
        raise FaceReconError(mismatch(uri, wanted, found))


def mismatch(uri: str, wanted: str | None, found: str | None) -> str:
    """One line on a tracker that does not hold the stack's registry, or a stack that belongs to none."""
    if wanted is None:
        return (
            f"the active stack tracks at {uri} and belongs to no registry yet: describe it in a file of infra/stacks/ "
            "and register it with `facerecon stack NAME`"
        )
    holds = "no registry of this project" if found is None else f"the registry {found[:8]}"
    again = f"facerecon stack {chosen_name()}"
    return (
        f"the MLflow server at {uri} holds {holds}, and this stack belongs to {wanted[:8]}: give the right address and "
        f"run `{again}`, or take what is there from now on with `{again} --new-registry`"
    )


def labels() -> dict[str, Any]:
    """The labels of the active stack's tracker."""
    from zenml.enums import StackComponentType

    components = _client().active_stack_model.components.get(StackComponentType.EXPERIMENT_TRACKER, [])
    return dict(components[0].labels or {}) if components else {}


def _client() -> Any:
    """ZenML's client.

    Raises:
        FaceReconError: its server does not answer, or does not accept this machine.
    """
    import requests
    from zenml.client import Client
    from zenml.exceptions import AuthorizationException

    try:
        client = Client()
        _ = client.zen_store
    except (requests.RequestException, RuntimeError, AuthorizationException) as error:
        said = " ".join(str(error).split())[:200]
        raise FaceReconError(f"the ZenML server does not answer as it should ({said}): see that it runs") from error
    return client


def _active_stack() -> str | None:
    """The id of the stack that ZenML has active in this checkout."""
    try:
        content = yaml.safe_load((PROJECT / ".zen" / "config.yaml").read_text(encoding="utf-8"))
        return str(content["active_stack_id"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None


def _chosen() -> dict[str, Any]:
    try:
        content = json.loads(_chosen_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _chosen_file() -> Path:
    return state_folder() / "stack.json"
