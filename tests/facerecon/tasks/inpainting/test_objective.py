"""The objective of inpainting: its rates, its batches, and what ends it."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from pydantic import BaseModel
from torch import Tensor, nn

from facerecon.errors import DivergedError
from facerecon.files import sha256_file
from facerecon.models import ReconstructionModel, register_model
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.tasks.inpainting.objective import is_coarse, work
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.training.schedule import learning_rate

Train = Callable[..., TrainingResult]


def test_a_coarse_step_moves_the_learning_rate_by_its_share_of_the_pixels() -> None:
    coarse = TrainingSettings(steps=100, warmup_steps=0, coarse_share=0.8, learning_rate=1, final_learning_rate=0)
    assert [is_coarse(step, coarse) for step in (0, 79, 80, 99)] == [True, True, False, False]
    whole = TrainingSettings(steps=40, warmup_steps=0, learning_rate=1, final_learning_rate=0)
    for step in range(40):
        # 80 coarse steps are the work of 20
        alike = 4 * step if step < 20 else 60 + step
        assert learning_rate(alike, coarse, partial(work, settings=coarse)) == pytest.approx(learning_rate(step, whole))


class _Nothing(BaseModel):
    pass


class _Plain(ReconstructionModel):
    """Two convolutions: no statistics of a batch, so that two half batches teach what a whole one does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 3, 3, padding=1), nn.Tanh())

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.layers(inputs), None


def test_two_half_batches_teach_what_a_whole_one_does(
    train_blobs: Train, tmp_path: Path, registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @register_model(_Nothing)
    def plain(options: _Nothing) -> ReconstructionModel:
        return _Plain()

    norms: list[float] = []
    clip = Fabric.clip_gradients

    def watch(*args: Any, **options: Any) -> Tensor:
        norms.append(float(clip(*args, **options)))
        return torch.tensor(norms[-1])

    monkeypatch.setattr(Fabric, "clip_gradients", watch)
    same = {"steps": 3, "clip_norm": 1e6, "validate_every": 3, "learning_rate": 1e-2, "warmup_steps": 0}
    masks = {"curriculum": {"kind": "none"}}
    whole, halves, half = (
        train_blobs(
            tmp_path / name,
            dict(**same, batch_size=size, accumulate=parts),
            model={"family": "plain"},
            masks=masks,
        )
        for name, size, parts in (("whole", 8, 1), ("halves", 4, 2), ("half", 4, 1))
    )
    assert len(halves.history) == len(whole.history) == 3
    # the optimiser forgives a gradient of the wrong length, the clipping does not
    assert norms[3:6] == pytest.approx(norms[:3], rel=1e-2)
    for name, value in whole.best.weights.items():
        torch.testing.assert_close(halves.best.weights[name], value, rtol=0, atol=2e-4)
    assert any((half.best.weights[name] - value).abs().max() > 2e-3 for name, value in whole.best.weights.items())
    for row, other in zip(halves.history, whole.history, strict=True):
        assert row["loss/total"] == pytest.approx(other["loss/total"], rel=1e-3)


class _At(BaseModel):
    step: int
    where: str


class _Diverging(_Plain):
    """A network whose output, or gradient alone, is no longer a number from some training step on."""

    def __init__(self, at: _At) -> None:
        super().__init__()
        self.at = at
        self.seen = 0

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        prediction, _ = super().predict(inputs)
        self.seen += self.training
        if self.training and self.seen == self.at.step:
            if self.at.where == "loss":
                return prediction * math.nan, None
            # the root's slope at 0 is infinite, and infinity times 0 is no number
            return prediction + (prediction * 0).sqrt() * 0, None
        return prediction, None


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_good_state(
    where: str, train_blobs: Train, tmp_path: Path, registry: None
) -> None:
    @register_model(_At)
    def diverging(options: _At) -> ReconstructionModel:
        return _Diverging(options)

    model = {"family": "diverging", "options": {"step": 6, "where": where}}
    files = [tmp_path / name for name in ("best.safetensors", "last.safetensors")]
    good: list[list[str]] = []

    def log(row: Row) -> None:
        if row["step"] == 5:
            good.append([sha256_file(file) for file in files])

    with pytest.raises(
        DivergedError, match=rf"the {where} is no longer a number at step 6 \(l1 .*hole .*learning_rate"
    ):
        train_blobs(tmp_path, model=model, log=log)
    assert [[sha256_file(file) for file in files]] == good
    assert TrainedModel.read(files[0]).step <= 4
