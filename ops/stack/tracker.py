"""The local stack as code: an orchestrator, an artifact store and an MLflow tracker of this clone alone."""

import logging
from pathlib import Path

from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, clone_id, state_folder

EXPERIMENT = "facerecon"
"""The MLflow experiment that holds the runs of all configs, so that they can be compared."""


def stack_name() -> str:
    """The stack's name; it carries the clone, so that two clones never share one."""
    return f"facerecon-{clone_id()}"


def tracking_uri() -> str:
    """MLflow's database in this clone: an explicit address, which `mlflow ui` can be given."""
    return f"sqlite:///{state_folder() / 'mlflow.db'}"


def register_stack() -> str:
    """Register what is missing of the stack, make it this checkout's active one, return its name. Safe to repeat."""
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration
    from zenml.enums import StackComponentType

    logging.getLogger("zenml").setLevel(logging.WARNING)
    GlobalConfiguration().analytics_opt_in = False
    if not (PROJECT / ".zen").is_dir():
        Client.initialize(PROJECT)
    client = Client()
    client.activate_root(PROJECT)
    name = stack_name()
    (state_folder() / "artifacts").mkdir(parents=True, exist_ok=True)
    components: dict[StackComponentType, tuple[str, dict[str, str]]] = {
        StackComponentType.ORCHESTRATOR: ("local", {}),
        StackComponentType.ARTIFACT_STORE: ("local", {"path": str(state_folder() / "artifacts")}),
        StackComponentType.EXPERIMENT_TRACKER: ("mlflow", {"tracking_uri": tracking_uri()}),
    }
    for kind, (flavor, configuration) in components.items():
        existing = client.list_stack_components(name=name, type=kind)
        if not existing.items:
            client.create_stack_component(name, flavor, kind, configuration)
    if not client.list_stacks(name=name).items:
        client.create_stack(name, dict.fromkeys(components, name))
    client.activate_stack(name)
    create_experiment()
    return name


def create_experiment() -> None:
    """Create MLflow's experiment with an artifact folder of its own; MLflow's default is the current directory.

    It is tagged as model development, one that exists too. What MLflow's page shows first its address says: ``ops.ui``.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri())
    if (experiment := client.get_experiment_by_name(EXPERIMENT)) is not None:
        number = experiment.experiment_id
    else:
        folder = state_folder() / "mlflow-artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        number = client.create_experiment(EXPERIMENT, artifact_location=folder.as_uri())
    client.set_experiment_tag(number, "mlflow.experimentKind", "custom_model_development")


def check_stack() -> str:
    """The address of the active stack's MLflow tracker.

    Raises:
        FaceReconError: the active stack cannot run the pipelines: it needs an MLflow experiment tracker.
    """
    from zenml.client import Client
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

    client = Client()
    tracker = client.active_stack.experiment_tracker
    fix = "run `make stack` in the project's root, which registers one and makes it active"
    if tracker is None:
        raise FaceReconError(f"the active ZenML stack '{client.active_stack.name}' has no experiment tracker: {fix}")
    if tracker.flavor != "mlflow":
        raise FaceReconError(
            f"the active ZenML stack '{client.active_stack.name}' tracks with {tracker.flavor}, not with MLflow: {fix}"
        )
    root = client.root
    if root is None or Path(root).resolve() != PROJECT:
        raise FaceReconError(f"this folder belongs to no ZenML project of {PROJECT}: start from there, or {fix}")
    assert isinstance(tracker, MLFlowExperimentTracker)
    return tracker.get_tracking_uri()
