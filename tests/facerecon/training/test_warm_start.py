"""Starting a training from the weights of another."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models import build_model
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import TrainedModel, TrainingResult
from facerecon.tasks.inpainting import training
from facerecon.tasks.inpainting.objective import InpaintingObjective
from facerecon.training.warm_start import load_initial

Train = Callable[..., TrainingResult]
OPTIONS = {"features": [4, 8], "prior_grid": 8, "prior_components": 4}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights with which each training begins."""
    seen: list[dict[str, torch.Tensor]] = []

    def watch(model: torch.nn.Module, *rest: Any) -> InpaintingObjective:
        seen.append({name: value.detach().clone() for name, value in model.state_dict().items()})
        return InpaintingObjective(model, *rest)

    monkeypatch.setattr(training, "InpaintingObjective", watch)
    return seen


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def calibrated(model: TrainedModel) -> TrainedModel:
    """With a confidence that was scaled and shifted after the training."""
    fitted = {"confidence_scale": torch.tensor(1.5), "confidence_shift": torch.tensor(-0.5)}
    return dataclasses.replace(model, weights=model.weights | fitted)


@pytest.fixture
def fewer(tiny_manifest: Manifest) -> Manifest:
    """Without the first face to train on: a prior that is fitted to these is another."""
    return dataclasses.replace(tiny_manifest, faces=tiny_manifest.faces.iloc[1:].reset_index(drop=True))


def test_the_weights_are_loaded_and_what_has_a_closed_form_is_fitted_anew(
    train_blobs: Train, undisturbed: TrainingResult, begun: list[Any], fewer: Manifest, tmp_path: Path
) -> None:
    given = calibrated(undisturbed.best)
    train_blobs(tmp_path, {"steps": 1}, initial=given, manifest=fewer)
    other = differing(begun[0], given.weights)
    assert any(name.startswith("prior.") for name in other)
    assert {name for name in other if not name.startswith("prior.")} == {"confidence_scale", "confidence_shift"}
    assert (float(begun[0]["confidence_scale"]), float(begun[0]["confidence_shift"])) == (1, 0)


def test_what_was_fitted_is_kept_if_so_wished(
    train_blobs: Train, undisturbed: TrainingResult, begun: list[Any], fewer: Manifest, tmp_path: Path
) -> None:
    given = calibrated(undisturbed.best)
    kept = {"steps": 1, "keep_fitted": True, "init_from": "given.safetensors"}
    train_blobs(tmp_path, kept, initial=given, manifest=fewer)
    assert differing(begun[0], given.weights) == {"confidence_scale", "confidence_shift"}


def test_it_begins_where_the_other_ended(train_blobs: Train, tmp_path: Path) -> None:
    # which starts from grey: the default starts from a fill that is good by itself
    model = {"family": "unet_attention", "options": {"features": [4, 8]}}
    first = train_blobs(tmp_path / "first", {"steps": 40, "learning_rate": 1e-2}, model=model)
    still = {"steps": 1, "warmup_steps": 0, "learning_rate": 1e-12, "final_learning_rate": 0, "weight_decay": 0}
    warm = train_blobs(tmp_path / "warm", still, model=model, initial=first.best)
    cold = train_blobs(tmp_path / "cold", still, model=model)
    error = first.best_row["val/hole_l1/brush"]
    # batch normalisation's statistics move a little in the one step
    assert warm.history[-1]["val/hole_l1/brush"] == pytest.approx(error, rel=0.1)
    assert cold.history[-1]["val/hole_l1/brush"] > 1.2 * error


def test_a_resumed_training_takes_its_own_weights_and_ends_as_an_undisturbed_one(
    train_blobs: Train, undisturbed: TrainingResult, tmp_path: Path
) -> None:
    def stop(row: dict[str, float]) -> None:
        if row["step"] == 3:
            raise InterruptedError

    whole = train_blobs(tmp_path / "whole", initial=undisturbed.best)
    with pytest.raises(InterruptedError):
        train_blobs(tmp_path / "killed", initial=undisturbed.best, log=stop)
    result = train_blobs(tmp_path / "killed", initial=undisturbed.best)
    assert result.resumed_at == 2
    assert result.best.digest == whole.best.digest


@pytest.fixture(scope="module")
def given() -> TrainedModel:
    """Weights of a small network of the default family."""
    model = ModelSettings(options=OPTIONS)
    weights = build_model("unet_fill", model.options).state_dict()
    return TrainedModel("unet_fill", model.options.model_dump(mode="json"), 64, 1, dict(weights))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "restoration"}, "with task restoration, this run has inpainting"),
        ({"family": "unet_attention"}, "with model.family unet_attention, this run has unet_fill"),
        ({"size": 128}, "with alignment.size 128, this run has 64"),
        ({"options": OPTIONS | {"features": [4, 16]}}, r"with model.options.confidence None, this run has True"),
    ],
)
def test_weights_of_another_kind_are_refused_in_one_line(
    changes: dict[str, Any], said: str, given: TrainedModel
) -> None:
    model = ModelSettings(options=OPTIONS)
    network = build_model(model.family, model.options)
    with pytest.raises(FaceReconError, match=f"training.init_from: those weights were trained {said}: .*") as caught:
        load_initial(network, dataclasses.replace(given, **changes), model, 64, "inpainting")
    assert "\n" not in caught.value.message


def test_another_option_is_named_with_both_values(given: TrainedModel) -> None:
    model = ModelSettings(options=OPTIONS | {"fold": 2})
    with pytest.raises(FaceReconError, match=r"with model\.options\.fold 1, this run has 2: "):
        load_initial(build_model(model.family, model.options), given, model, 64, "inpainting")


def test_weights_of_another_version_of_the_code_are_refused_in_one_line(given: TrainedModel) -> None:
    model, weights = ModelSettings(options=OPTIONS), dict(given.weights)
    weights.pop("confidence_scale")
    network, damaged = build_model(model.family, model.options), dataclasses.replace(given, weights=weights)
    with pytest.raises(FaceReconError, match="do not fit a unet_fill of this version of the code") as caught:
        load_initial(network, damaged, model, 64, "inpainting")
    assert "\n" not in caught.value.message


def test_options_that_only_schedule_a_training_may_differ(given: TrainedModel) -> None:
    model = ModelSettings(options=OPTIONS | {"prior_from": 0.0, "confidence_from": 0.5})
    network = build_model(model.family, model.options)
    load_initial(network, given, model, 64, "inpainting")
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), given.weights[name].numpy(), err_msg=name)
