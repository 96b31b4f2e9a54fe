"""How a pipeline is run on the orchestrator there is."""

from types import SimpleNamespace

import mlflow
import pytest
from zenml.enums import ExecutionMode
from zenml.orchestrators.base_orchestrator import BaseOrchestrator
from zenml.orchestrators.local.local_orchestrator import LocalOrchestrator

from facerecon.errors import FaceReconError
from ops import pipeline


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(LocalOrchestrator, ExecutionMode.FAIL_FAST), (BaseOrchestrator, ExecutionMode.CONTINUE_ON_FAILURE)],
)
def test_it_stops_at_the_first_fault_where_the_orchestrator_can(monkeypatch, kind, mode) -> None:
    """Kubeflow's knows but one mode, that of the base class, and refuses all others."""
    modes = kind.supported_execution_modes.fget(None)
    stack = SimpleNamespace(orchestrator=SimpleNamespace(supported_execution_modes=modes))
    monkeypatch.setattr(pipeline, "Client", lambda: SimpleNamespace(active_stack=stack))
    assert pipeline._execution_mode() is mode


def test_a_run_that_a_fault_leaves_open_is_not_called_finished(tmp_path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    with pytest.raises(FaceReconError), pipeline._open_run_failed():  # noqa: PT012
        run = mlflow.start_run(experiment_id=client.create_experiment("faults")).info.run_id
        raise FaceReconError("the artifact store went away")
    assert client.get_run(run).info.status == "FAILED"
    assert mlflow.active_run() is None
    with pipeline._open_run_failed():
        pass
    assert client.get_run(run).info.status == "FAILED"
