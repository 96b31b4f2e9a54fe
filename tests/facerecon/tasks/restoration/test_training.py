"""Training restoration: what is seen is degraded, the curves say what they should, killed runs go on to the bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.augmentation import AugmentationSettings
from facerecon.data.datasets import Draw
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models.trained import Row, TrainingResult
from facerecon.tasks.restoration.dataset import TrainingFaces, collate

Train = Callable[..., TrainingResult]
ADVERSARIAL = {"adversarial": {"width": 8, "noise": 0.05, "penalty_interval": 2}, "accumulate": 2}


class KilledError(Exception):
    """Stands for a process that ends."""


def killed_at(step: int) -> Callable[[Row], None]:
    def log(row: Row) -> None:
        if row["step"] == step:
            raise KilledError

    return log


def timeless(history: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in history]


def weights_equal(one: TrainingResult, other: TrainingResult) -> bool:
    pairs = ((value, other.best.weights[name]) for name, value in one.best.weights.items())
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_sample_is_a_face_and_its_degraded_self(tiny_manifest: Manifest, scale: int) -> None:
    degrade = TrainingDegradations(DegradationSettings(clean_share=0, curriculum=0), 64, scale)
    faces = TrainingFaces(tiny_manifest, AugmentationSettings(blur=0), degrade, seed=0)
    draws = [Draw(index, 0, 0.5) for index in range(4)]
    batch, again = collate(faces.__getitems__(draws)), collate(faces.__getitems__(draws))
    assert batch.image.shape == (4, 3, 64, 64)
    assert batch.degraded.shape == (4, 3, 64 // scale, 64 // scale)
    assert torch.equal(batch.degraded, again.degraded)
    other = collate(faces.__getitems__([Draw(index, 1, 0.5) for index in range(4)]))
    assert not torch.equal(batch.degraded, other.degraded)
    if scale == 1:
        assert float((batch.image - batch.degraded).abs().mean()) > 0.005


def test_curves_name_every_degradation(undisturbed: TrainingResult) -> None:
    validated = [row for row in undisturbed.history if "val/lpips_vgg/motion" in row]
    assert [row["step"] for row in validated] == [2, 4, 6]
    wanted = {f"val/{metric}/{case}" for metric in ("lpips_vgg", "whole_psnr") for case in ("motion", "cctv")}
    assert all(wanted <= row.keys() for row in validated)
    assert undisturbed.checkpoint_key == "val/lpips_vgg/motion"
    best = min(row["val/lpips_vgg/motion"] for row in validated)
    assert undisturbed.best_row["val/lpips_vgg/motion"] == best
    assert undisturbed.best.task == "restoration"


@pytest.mark.parametrize(
    "training",
    [{}, ADVERSARIAL, {**ADVERSARIAL, "precision": "bf16-mixed"}],
    ids=["pixels", "adversarial", "adversarial in 16 bits"],
)
def test_a_killed_run_resumes_to_the_bit(train_blobs: Train, tmp_path: Path, training: dict[str, object]) -> None:
    whole = train_blobs(tmp_path / "whole", training)
    with pytest.raises(KilledError):
        train_blobs(tmp_path / "killed", training, log=killed_at(5))
    resumed = train_blobs(tmp_path / "killed", training)
    assert resumed.resumed_at == 4
    assert timeless(resumed.history) == timeless(whole.history)
    assert weights_equal(resumed, whole)


def test_beside_a_discriminator_the_start_is_shown_and_never_kept(train_blobs: Train, tmp_path: Path) -> None:
    # so high a rate spoils the network at once: the start is the best there is, and must not be kept
    result = train_blobs(tmp_path, {**ADVERSARIAL, "learning_rate": 0.5, "warmup_steps": 0})
    start = result.history[0]
    assert start["step"] == 0
    key = result.checkpoint_key
    assert start[key] < min(row[key] for row in result.history[1:] if key in row)
    assert result.best.step > 0
    assert all(0 <= row["val/discriminator_accuracy"] <= 1 for row in result.history if key in row)
    first = result.history[1]
    for name in ("adversarial", "discriminator", "discriminator_accuracy", "penalty"):
        assert np.isfinite(first[f"loss/{name}"]), name
    assert 0 < first["loss/adversarial_share"] < 1


def test_before_its_share_of_the_steps_a_discriminator_changes_nothing(train_blobs: Train, tmp_path: Path) -> None:
    late = {"adversarial": {"width": 8, "start_share": 0.7}}
    alone, beside = (
        train_blobs(tmp_path / "alone", {"steps": 5}),
        train_blobs(tmp_path / "beside", {"steps": 5, **late}),
    )
    for row, other in zip(alone.history[:4], beside.history[1:5], strict=True):
        assert row["loss/l1"] == other["loss/l1"]
    assert "loss/adversarial" not in beside.history[4]
    assert "loss/adversarial" in beside.history[5]


def test_what_teaches_nothing_more_ends_the_run(train_blobs: Train, tmp_path: Path) -> None:
    # below so high a loss every step is won
    won = {"adversarial": {"width": 8, "win_loss": 1.0, "win_steps": 3, "loss": "rals"}}
    with pytest.raises(FaceReconError) as error:
        train_blobs(tmp_path, {**won, "steps": 40, "validate_every": 40})
    assert "the discriminator has won at step" in error.value.message
    assert "lower training.adversarial.learning_rate" in error.value.message


def test_weights_of_a_restoration_are_trained_on_from(
    train_blobs: Train, undisturbed: TrainingResult, tmp_path: Path
) -> None:
    result = train_blobs(tmp_path, {"learning_rate": 1e-9, "final_learning_rate": 0, "steps": 2}, undisturbed.best)
    moved = {name: value for name, value in result.best.weights.items() if "running" not in name}
    learned = [name for name in moved if "confidence_s" not in name and "num_batches" not in name]
    assert all(torch.allclose(moved[name], undisturbed.best.weights[name], atol=1e-6) for name in learned)
