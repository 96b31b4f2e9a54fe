"""Promotion against a real MLflow registry on sqlite."""

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.training.checkpoints import save_model
from ops.registry import challenge, example_input, log_onnx, registered_name

MARGIN = 0.05


@pytest.fixture
def offer(state, exported, constant_scores, make_model):
    """Offer the model of a seed that scores so many dB; earlier ones keep their scores unless said otherwise."""
    scores: dict[str, float] = {}

    def go(seed: int, score: float, **others: float) -> dict:
        trained = make_model(seed)
        scores[trained.digest] = score
        for name, value in others.items():
            scores[make_model(int(name.removeprefix("model"))).digest] = value
        path = state / f"weights-{seed}.safetensors"
        save_model(path, trained)
        with mlflow.start_run():
            uri = log_onnx(exported, 2)
        return challenge("demo", uri, str(path), trained, {}, constant_scores(scores), MARGIN)

    return go


def alias(name: str) -> int:
    return int(mlflow.MlflowClient().get_model_version_by_alias(registered_name("demo"), name).version)


def test_the_first_model_becomes_champion(offer):
    decision = offer(1, 20.0)
    assert decision["champion"]
    assert decision["champion_before"] is None
    assert alias("champion") == alias("challenger") == decision["version"] == 1


def test_a_better_model_becomes_champion(offer):
    offer(1, 20.0)
    decision = offer(2, 20.0 + 2 * MARGIN)
    assert decision["champion"]
    assert decision["champion_version"] == 1
    assert alias("champion") == alias("challenger") == 2


@pytest.mark.parametrize("gain", [-1.0, 0.0, MARGIN * 0.9])
def test_a_worse_equal_or_hardly_better_model_stays_challenger(offer, gain):
    offer(1, 20.0)
    decision = offer(2, 20.0 + gain)
    assert not decision["champion"]
    assert alias("champion") == 1
    assert alias("challenger") == 2
    assert "does not beat" in decision["reason"]


def test_the_champion_is_scored_anew_on_todays_gate(offer):
    offer(1, 20.0)
    decision = offer(2, 19.0, model1=18.0)
    assert decision["champion"]
    assert decision["champion_before"]["level_1"] == pytest.approx(17.0)


def test_a_nan_is_not_promoted_and_nothing_is_registered(offer):
    offer(1, 20.0)
    with pytest.raises(FaceReconError, match="no finite number"):
        offer(2, float("nan"))
    assert alias("champion") == alias("challenger") == 1


def test_a_champion_whose_weights_are_gone_or_changed_is_not_replaced(offer, state):
    offer(1, 20.0)
    (state / "weights-1.safetensors").unlink()
    decision = offer(2, 30.0)
    assert not decision["champion"]
    assert "weights are gone" in decision["reason"]
    assert alias("champion") == 1


def test_the_same_weights_again_change_nothing(offer, exported, state, constant_scores, make_model):
    trained = make_model(1)
    path = state / "same.safetensors"
    save_model(path, trained)
    with mlflow.start_run():
        uri = log_onnx(exported, 2)
    decisions = [
        challenge("demo", uri, str(path), trained, {}, constant_scores({trained.digest: 20.0}), MARGIN)
        for _ in range(2)
    ]
    assert decisions[0]["version"] == decisions[1]["version"] == 1
    assert decisions[1]["champion"]


def test_the_registered_model_can_be_loaded_and_used(offer):
    offer(1, 20.0)
    loaded = mlflow.pyfunc.load_model(f"models:/{registered_name('demo')}@champion")
    given = example_input(32)
    output = loaded.predict(given)
    assert output["reconstruction"].shape == (1, 3, 32, 32)
    known = np.broadcast_to(given["mask"] == 0, given["image"].shape)
    assert (output["reconstruction"][known] == given["image"][known]).all()


def test_configs_do_not_compete(offer, exported, state, constant_scores, make_model):
    offer(1, 30.0)
    trained = make_model(2)
    save_model(state / "other.safetensors", trained)
    with mlflow.start_run():
        uri = log_onnx(exported, 2)
    scores = constant_scores({trained.digest: 10.0})
    decision = challenge("lfw", uri, str(state / "other.safetensors"), trained, {}, scores, MARGIN)
    assert decision["champion"]
    assert decision["registered_model"] == "facerecon-lfw"
