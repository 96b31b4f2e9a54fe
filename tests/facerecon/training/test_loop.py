"""The loop: it repeats itself bit for bit, and it resumes where it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.experiment import Experiment
from facerecon.models import ReconstructionModel, register_model
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.models.unet_fill.network import UNetFill
from facerecon.run import parse_settings
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.dataset import TrainingFaces
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.training import checkpoints

Train = Callable[..., TrainingResult]


def timeless(history: list[Row]) -> list[Row]:
    """The curves without the speed, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in history]


class StopError(Exception):
    """What a test ends a run with."""


def stop_at(step: int) -> Callable[[Row], None]:
    def log(row: Row) -> None:
        if row["step"] == step:
            raise StopError

    return log


# --------------------------------------------------------------------------------------------------------------- curves


def test_log_gets_each_point_as_it_comes(train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult) -> None:
    logged: list[Row] = []
    result = train_blobs(tmp_path, log=lambda row: logged.append(dict(row)))
    assert logged == result.history
    assert timeless(logged) == timeless(undisturbed.history)


# ---------------------------------------------------------------------------------------------------------- determinism


def test_same_seed_same_weights_and_another_seed_others(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    torch.manual_seed(1234)
    again = train_blobs(tmp_path / "again")
    assert again.best.digest == undisturbed.best.digest
    assert timeless(again.history) == timeless(undisturbed.history)
    assert train_blobs(tmp_path / "other", seed=1).best.digest != undisturbed.best.digest


def test_loader_workers_do_not_change_the_weights(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    spread = train_blobs(tmp_path, {"loader_workers": 2})
    assert spread.best.digest == undisturbed.best.digest
    assert timeless(spread.history) == timeless(undisturbed.history)


def test_training_leaves_torchs_state_as_it_was(train_blobs: Train, tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        train_blobs(tmp_path, {"steps": 1, "threads": 1})
        assert torch.get_num_threads() == 2, "what follows in this process would be computed otherwise"
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


def test_the_model_is_told_how_far_the_training_is_also_after_a_resumption(
    train_blobs: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(UNetFill, "set_progress", lambda self, progress: told.append(progress))
    with pytest.raises(StopError):
        train_blobs(tmp_path, log=stop_at(5))
    assert told == pytest.approx([step / 7 for step in range(5)])
    told.clear()
    train_blobs(tmp_path)
    assert told == pytest.approx([step / 7 for step in range(4, 7)])


# ------------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize(("killed_at", "resumed_at"), [(1, 0), (4, 2), (5, 4), (7, 6)])
def test_a_killed_run_ends_as_an_undisturbed_one(
    killed_at: int, resumed_at: int, train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    with pytest.raises(StopError):
        train_blobs(tmp_path, log=stop_at(killed_at))
    logged: list[Row] = []
    result = train_blobs(tmp_path, log=logged.append)
    assert result.resumed_at == resumed_at
    assert logged == result.history, "the log gets the points from before the resumption too"
    assert result.best.digest == undisturbed.best.digest
    assert result.best.step == undisturbed.best.step
    assert timeless(result.history) == timeless(undisturbed.history)


def test_a_run_killed_between_its_two_files_ends_as_an_undisturbed_one(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path, modules: Any, optimizers: Any, about: dict[str, Any]) -> None:
        if about["step"] == 4:
            raise StopError
        real(path, modules, optimizers, about)

    real = checkpoints.save_state
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", die)
        with pytest.raises(StopError):
            train_blobs(tmp_path)
    assert TrainedModel.read(tmp_path / "best.safetensors").step == 4, "the best model is ahead of the state"
    result = train_blobs(tmp_path)
    assert result.resumed_at == 2
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_a_run_killed_twice_with_accumulation_and_workers(train_blobs: Train, tmp_path: Path) -> None:
    settings = {"accumulate": 2, "batch_size": 3, "loader_workers": 1}
    whole = train_blobs(tmp_path / "whole", settings)
    for step in (3, 5):
        with pytest.raises(StopError):
            train_blobs(tmp_path / "killed", settings, log=stop_at(step))
    result = train_blobs(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


def test_a_running_mean_of_the_weights_is_kept_and_resumed(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    settings = {"ema_decay": 0.9}
    whole = train_blobs(tmp_path / "whole", settings)
    with pytest.raises(StopError):
        train_blobs(tmp_path / "killed", settings, log=stop_at(5))
    result = train_blobs(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)
    losses = [[row["loss/total"] for row in training.history] for training in (whole, undisturbed)]
    assert losses[0] == losses[1], "the weights themselves go their way"
    assert whole.best.digest != undisturbed.best.digest, "what is kept is their mean"


def test_a_finished_run_is_not_trained_again(train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult) -> None:
    first = train_blobs(tmp_path)
    logged: list[Row] = []
    again = train_blobs(tmp_path, log=logged.append)
    assert logged == first.history
    assert again.resumed_at == 7
    assert again.history == first.history
    assert again.best.digest == undisturbed.best.digest


def test_a_half_written_state_is_refused(train_blobs: Train, tmp_path: Path) -> None:
    train_blobs(tmp_path, {"steps": 2})
    state = tmp_path / "last.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FaceReconError, match="remove it"):
        train_blobs(tmp_path)


class _Nothing(BaseModel):
    pass


class _Dropping(ReconstructionModel):
    """A network that rolls dice while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(8, 3, 1), nn.Tanh())

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.layers(inputs), None


def test_a_network_that_rolls_dice_is_resumed_bit_for_bit_too(
    train_blobs: Train, tmp_path: Path, registry: None
) -> None:
    @register_model(_Nothing)
    def dropping(options: _Nothing) -> ReconstructionModel:
        return _Dropping()

    model = {"family": "dropping"}
    whole = train_blobs(tmp_path / "whole", model=model)
    torch.manual_seed(99)
    with pytest.raises(StopError):
        train_blobs(tmp_path / "killed", model=model, log=stop_at(5))
    torch.rand(3)
    result = train_blobs(tmp_path / "killed", model=model)
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


def test_the_first_steps_see_half_the_size_and_a_killed_run_goes_on_bit_for_bit(
    train_blobs: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[int] = []
    forward = ReconstructionLoss.forward

    def watch(self: Any, output: Any, batch: Any, step: int, coarse: bool) -> Any:
        sides.append(batch.image.shape[-1])
        assert output.prediction.shape == batch.image.shape
        assert coarse == (sides[-1] == 32)
        return forward(self, output, batch, step, coarse)

    monkeypatch.setattr(ReconstructionLoss, "forward", watch)
    settings = {"coarse_share": 0.6}
    whole = train_blobs(tmp_path / "whole", settings)
    assert sides == [32] * 5 + [64] * 2
    with pytest.raises(StopError):
        train_blobs(tmp_path / "killed", settings, log=stop_at(3))
    result = train_blobs(tmp_path / "killed", settings)
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


def test_it_goes_on_from_a_checkpoint_made_elsewhere(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    with pytest.raises(StopError):
        train_blobs(tmp_path / "elsewhere", log=stop_at(5))
    result = train_blobs(tmp_path / "own", {"resume_from": str(tmp_path / "elsewhere")})
    assert result.resumed_at == 4
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_in_a_folder_of_other_settings_nothing_is_trained_and_nothing_lost(
    train_blobs: Train, tiny_model: TrainedModel, tmp_path: Path
) -> None:
    train_blobs(tmp_path, {"steps": 2})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for training, seed in (({"steps": 2, "learning_rate": 1e-4}, 0), ({"steps": 2}, 1), ({"steps": 4}, 0)):
        with pytest.raises(FaceReconError, match="was made of other settings than this run: give another folder"):
            train_blobs(tmp_path, training, seed=seed)
    with pytest.raises(FaceReconError, match="was made of other precision and settings than this run"):
        train_blobs(tmp_path, {"steps": 2, "precision": "bf16-mixed"})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert train_blobs(tmp_path, {"steps": 2, "resume_from": str(tmp_path)}).resumed_at == 2


def test_a_training_from_given_weights_is_another_than_one_without(
    train_blobs: Train, undisturbed: TrainingResult, tmp_path: Path
) -> None:
    other = "was made of other initial_weights than this run"
    for name, first, second in (("with", undisturbed.best, None), ("without", None, undisturbed.best)):
        train_blobs(tmp_path / name, {"steps": 1}, initial=first)
        with pytest.raises(FaceReconError, match=other):
            train_blobs(tmp_path / name, {"steps": 1}, initial=second)
        assert train_blobs(tmp_path / name, {"steps": 1}, initial=first).resumed_at == 1


@pytest.mark.parametrize("what", ["data", "cases"])
def test_in_a_folder_of_other_data_or_cases_nothing_is_trained(
    what: str, tiny_manifest: Manifest, tiny_masks: MaskSet, tmp_path: Path
) -> None:
    few = {
        "steps": 1,
        "warmup_steps": 0,
        "batch_size": 2,
        "losses": {"perceptual": 0, "identity": 0},
        "accelerator": "cpu",
        "threads": 1,
    }
    settings = parse_settings(
        {"model": {"family": "unet_attention", "options": {"features": [4, 8]}}, "training": few}, "test"
    )
    values = settings.values(*get_task("inpainting").fields["training"])
    first = Experiment("inpainting", values, tiny_manifest, MaskCases(tiny_masks))
    first.train(tmp_path / "run", first.provenance)
    fewer = replace(tiny_manifest, faces=tiny_manifest.faces.iloc[:-1])
    others = build_mask_set(tmp_path / "masks", 64, ["brush"], [1, 2], count=8)
    second = Experiment(
        "inpainting",
        values,
        fewer if what == "data" else tiny_manifest,
        MaskCases(others if what == "cases" else tiny_masks),
    )
    with pytest.raises(FaceReconError, match=f"was made of other {what} than this run: give another folder"):
        second.train(tmp_path / "run", second.provenance)


# ------------------------------------------------------------------------------------------------ batches and precision


def test_every_face_is_seen_once_an_epoch(train_blobs: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = TrainingFaces.__getitem__

    def watch(self: Any, draw: Any) -> Any:
        seen.append(draw.index)
        return real(self, draw)

    monkeypatch.setattr(TrainingFaces, "__getitem__", watch)
    train_blobs(tmp_path, {"steps": 4, "accumulate": 2, "batch_size": 3})
    assert len(seen) == 4 * 2 * 3
    assert [sorted(seen[start : start + 8]) for start in (0, 8, 16)] == [list(range(8))] * 3


def test_half_precision_trains(train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult) -> None:
    result = train_blobs(tmp_path, {"steps": 3, "precision": "bf16-mixed"})
    assert all(value.dtype in (torch.float32, torch.int64) for value in result.best.weights.values())
    half, whole = (each.history[0]["loss/total"] for each in (result, undisturbed))
    assert half != whole, "it was not computed in 16 bits"
    assert half == pytest.approx(whole, rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_a_run_on_a_gpu_is_resumed(precision: str, train_blobs: Train, tmp_path: Path) -> None:
    settings = {"accelerator": "cuda", "precision": precision, "threads": None}
    whole = train_blobs(tmp_path / "whole", settings)
    with pytest.raises(StopError):
        train_blobs(tmp_path / "killed", settings, log=stop_at(5))
    result = train_blobs(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    for row, other in zip(result.history, whole.history, strict=True):
        assert row["loss/total"] == pytest.approx(other["loss/total"], rel=0.02)


# ---------------------------------------------------------------------------------------------------- what it ends with


def test_the_best_checkpoint_has_the_lowest_hole_l1(train_blobs: Train, tmp_path: Path) -> None:
    # so high a rate, which does not fall, that the last step is not the best
    rough = {"steps": 6, "validate_every": 1, "learning_rate": 1.0, "final_learning_rate": 1.0, "warmup_steps": 0}
    result = train_blobs(tmp_path, rough)
    errors = [row["val/hole_l1/brush"] for row in result.history]
    assert errors[-1] > min(errors), "this run says nothing: choose another rate"
    assert result.best.step == 1 + errors.index(min(errors))
    kept = TrainedModel.read(tmp_path / "best.safetensors").weights
    assert all(
        torch.equal(value, kept[name])
        for name, value in result.best.weights.items()
        if not name.startswith(("confidence_scale", "confidence_shift"))
    )
