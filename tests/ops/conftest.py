"""MLflow on a database of the test's own, and models small enough to register in a moment."""

import mlflow
import numpy as np
import pytest
import torch

from facerecon.export.onnx import ExportedModel, to_onnx
from facerecon.models import build_model
from facerecon.training.checkpoints import TrainedModel

OPTIONS = {"features": [4, 8]}


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The state folder, with MLflow's experiment in it."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    from ops.stack import EXPERIMENT, create_experiment, tracking_uri

    (tmp_path / "state").mkdir()
    create_experiment()
    mlflow.set_tracking_uri(tracking_uri())
    mlflow.set_experiment(EXPERIMENT)
    yield tmp_path / "state"
    while mlflow.active_run():
        mlflow.end_run()


def model(seed: int) -> TrainedModel:
    """A network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_model("unet_attention", OPTIONS)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return TrainedModel("unet_attention", OPTIONS, 64, 1, weights)


@pytest.fixture
def make_model():
    return model


@pytest.fixture(scope="session")
def exported() -> ExportedModel:
    return ExportedModel(to_onnx(model(0), {"family": "unet_attention"}), {})


@pytest.fixture
def constant_scores():
    """A gate that gives each model the score that is written down for its digest."""

    def scorer(by_digest: dict[str, float]):
        return lambda trained: {f"level_{k}": np.full(5, by_digest[trained.digest] - k) for k in (1, 2, 3)}

    return scorer
