"""The loop: it learns, it repeats itself bit for bit, and it goes on where it was."""

import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from pydantic import BaseModel
from torch import Tensor, nn

from facerecon.corruption.curriculum import NO_CURRICULUM
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.augmentation import AugmentationSettings
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.store import FaceStore
from facerecon.errors import DivergedError, FaceReconError
from facerecon.files import sha256_file
from facerecon.models import ReconstructionModel, register_model
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import TrainedModel
from facerecon.models.unet_fill import UNetFillOptions
from facerecon.models.unet_fill.network import UNetFill
from facerecon.training import loop
from facerecon.training.checkpoints import Row, Training
from facerecon.training.loop import is_coarse, learning_rate, origin_of, train, validate
from facerecon.training.settings import LossSettings, TrainingSettings

TINY = ModelSettings(options={"features": [4, 8], "prior_grid": 8, "prior_components": 4})
ORIGIN = {"settings": "s", "data": "d", "masks": "m", "code": "c"}
PIXELS_ONLY = LossSettings(perceptual=0, identity=0)
Run = Callable[..., Training]


def quick(**changes: Any) -> TrainingSettings:
    """Seven steps of four faces, validation every second one, the pixel terms only."""
    few = {"steps": 7, "batch_size": 4, "warmup_steps": 2, "validate_every": 2, "losses": PIXELS_ONLY}
    machine = {"accelerator": "cpu", "threads": 1, "precision": "32-true"}
    return TrainingSettings(**(few | machine | changes))


@pytest.fixture(scope="session")
def run(tiny_manifest: Manifest, tiny_masks: MaskSet) -> Run:
    """``run(folder, ...)`` trains on the blobs; what is not given is as in ``quick``."""

    def train_on_blobs(
        folder: Path,
        settings: TrainingSettings | None = None,
        *,
        manifest: Manifest = tiny_manifest,
        model: ModelSettings = TINY,
        seed: int = 0,
        masks: MaskSettings | None = None,
        log: Callable[[Row], None] = lambda row: None,
    ) -> Training:
        drawer = TrainingMasks(masks or MaskSettings(), manifest.size)
        return train(manifest, tiny_masks, drawer, model, settings or quick(), seed, folder, ORIGIN, log)

    return train_on_blobs


@pytest.fixture(scope="session")
def undisturbed(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The run that others are compared with."""
    return run(tmp_path_factory.mktemp("undisturbed"))


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


# ------------------------------------------------------------------------------------------------------ learning rate


@given(
    steps=st.integers(1, 500),
    warmup=st.integers(0, 100),
    high=st.floats(1e-6, 1),
    share=st.floats(0, 1),
    coarse=st.floats(0, 1),
)
@hypothesis_settings(deadline=None)
def test_learning_rate_warms_up_and_then_only_falls(
    steps: int, warmup: int, high: float, share: float, coarse: float
) -> None:
    rates_end = {"learning_rate": high, "final_learning_rate": high * share}
    settings = TrainingSettings(steps=steps, warmup_steps=warmup, coarse_share=coarse, **rates_end)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 <= rate <= high * (1 + 1e-12) for rate in rates)
    assert rates[0] > 0
    assert all(before < after for before, after in pairwise(rates[:warmup]))
    assert all(before >= after for before, after in pairwise(rates[warmup:]))


def test_learning_rate_is_a_line_and_half_a_cosine() -> None:
    settings = TrainingSettings(steps=111, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    assert learning_rate(0, settings) == pytest.approx(1e-4)
    assert learning_rate(9, settings) == learning_rate(10, settings) == pytest.approx(1e-3)
    assert learning_rate(60, settings) == pytest.approx((1e-3 + 1e-5) / 2), "half way through the cosine"
    assert learning_rate(110, settings) == pytest.approx(1e-5), "the last step"


def test_a_coarse_step_moves_the_learning_rate_by_its_share_of_the_pixels() -> None:
    coarse = TrainingSettings(steps=100, warmup_steps=0, coarse_share=0.8, learning_rate=1, final_learning_rate=0)
    assert [is_coarse(step, coarse) for step in (0, 79, 80, 99)] == [True, True, False, False]
    whole = TrainingSettings(steps=40, warmup_steps=0, learning_rate=1, final_learning_rate=0)
    for step in range(40):
        # 80 coarse steps are the work of 20
        alike = 4 * step if step < 20 else 60 + step
        assert learning_rate(alike, coarse) == pytest.approx(learning_rate(step, whole))


# ------------------------------------------------------------------------------------------------------------ curves


def test_curves_have_a_point_a_step_and_validation_when_due(undisturbed: Training) -> None:
    assert [row["step"] for row in undisturbed.history] == [1, 2, 3, 4, 5, 6, 7]
    always = {
        "step",
        "learning_rate",
        "images_per_second",
        *(f"loss/{n}" for n in ("total", "l1", "hole", "confidence")),
    }
    validated = {"val/hole_l1", *(f"val/hole_psnr_level_{level}" for level in (1, 2, 3))}
    for row in undisturbed.history:
        wanted = always | (validated if row["step"] in (2, 4, 6, 7) else set())
        assert row.keys() == wanted, f"step {row['step']}"
        assert all(math.isfinite(value) for value in row.values())
    assert undisturbed.resumed_at == 0


def test_curves_show_the_rate_that_was_used(undisturbed: Training) -> None:
    settings = quick()
    assert [row["learning_rate"] for row in undisturbed.history] == [learning_rate(k, settings) for k in range(7)]
    assert undisturbed.history[-1]["learning_rate"] == pytest.approx(settings.final_learning_rate)


def test_log_gets_each_point_as_it_comes(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    logged: list[Row] = []
    result = run(tmp_path, log=lambda row: logged.append(dict(row)))
    assert logged == result.history
    assert timeless(logged) == timeless(undisturbed.history)


def test_a_long_run_has_a_hundred_points_not_thousands() -> None:
    meter = loop._Meter(TrainingSettings(steps=30_000, validate_every=1000), Fabric(accelerator="cpu"))
    due = [step + 1 for step in range(30_000) if meter.due(step)]
    assert 100 <= len(due) <= 130
    assert set(range(1000, 30_001, 1000)) <= set(due)


# ------------------------------------------------------------------------------------------------------- determinism


def test_same_seed_same_weights_and_another_seed_others(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    torch.manual_seed(1234)
    again = run(tmp_path / "again")
    assert again.best.digest == undisturbed.best.digest
    assert timeless(again.history) == timeless(undisturbed.history)
    assert run(tmp_path / "other", seed=1).best.digest != undisturbed.best.digest


def test_loader_workers_do_not_change_the_weights(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    spread = run(tmp_path, quick(loader_workers=2))
    assert spread.best.digest == undisturbed.best.digest
    assert timeless(spread.history) == timeless(undisturbed.history)


def test_training_leaves_torchs_state_as_it_was(run: Run, tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        run(tmp_path, quick(steps=1, threads=1))
        assert torch.get_num_threads() == 2, "what follows in this process would be computed otherwise"
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


def test_only_train_and_val_people_are_read(
    run: Run, tmp_path: Path, tiny_manifest: Manifest, undisturbed: Training
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    others = pd.concat([tiny_manifest.split(split) for split in ("gate", "test")])
    assert FaceStore.remove(store, set(others["sha256"])) == len(others) == 5
    manifest = Manifest(root="", faces=tiny_manifest.faces, store=str(store), size=tiny_manifest.size)
    result = run(tmp_path / "run", manifest=manifest)
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_the_prior_is_of_the_train_peoples_faces_as_they_are(tiny_manifest: Manifest, undisturbed: Training) -> None:
    people = tiny_manifest.split("train")["face"]
    faces = np.stack([tiny_manifest.aligned_faces.crop(face) for face in people]).astype(np.float64) / 127.5 - 1
    cells = faces.reshape(len(faces), 8, 8, 8, 8, 3).mean(axis=(2, 4))
    mean = (cells + cells[:, :, ::-1]).mean(axis=0) / 2
    weights = undisturbed.best.weights
    np.testing.assert_allclose(weights["prior.brightness.mean"][0].numpy(), mean.sum(axis=2) / 3**0.5, atol=1e-5)
    assert float(weights["prior.brightness.even"].abs().max()) > 0


def test_what_is_trained_says_every_option_so_that_other_defaults_do_not_change_it(undisturbed: Training) -> None:
    assert undisturbed.best.options == TINY.options.model_dump(mode="json")
    assert set(undisturbed.best.options) == set(UNetFillOptions.model_fields)


def test_of_many_faces_the_prior_sees_some_evenly(
    run: Run, tmp_path: Path, tiny_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(loop, "LEARNED_FROM", 3)
    monkeypatch.setattr(UNetFill, "fit", lambda self, faces: seen.extend(len(batch) for batch in faces))
    run(tmp_path)
    people = len(tiny_manifest.split("train"))
    assert people > 3
    assert 1 < sum(seen) <= 3


def test_the_model_is_told_how_far_the_training_is_also_after_a_resumption(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(UNetFill, "set_progress", lambda self, progress: told.append(progress))
    with pytest.raises(StopError):
        run(tmp_path, log=stop_at(5))
    assert told == pytest.approx([step / 7 for step in range(5)])
    told.clear()
    run(tmp_path)
    assert told == pytest.approx([step / 7 for step in range(4, 7)])


# ---------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize(("killed_at", "resumed_at"), [(1, 0), (4, 2), (5, 4), (7, 6)])
def test_a_killed_run_ends_as_an_undisturbed_one(
    killed_at: int, resumed_at: int, run: Run, tmp_path: Path, undisturbed: Training
) -> None:
    with pytest.raises(StopError):
        run(tmp_path, log=stop_at(killed_at))
    logged: list[Row] = []
    result = run(tmp_path, log=logged.append)
    assert result.resumed_at == resumed_at
    assert logged == result.history, "the log gets the points from before the resumption too"
    assert result.best.digest == undisturbed.best.digest
    assert result.best.step == undisturbed.best.step
    assert timeless(result.history) == timeless(undisturbed.history)


def test_a_run_killed_between_its_two_files_ends_as_an_undisturbed_one(
    run: Run, tmp_path: Path, undisturbed: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path, step: int, *rest: Any) -> None:
        if step == 4:
            raise StopError
        real(path, step, *rest)

    real = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", die)
        with pytest.raises(StopError):
            run(tmp_path)
    assert TrainedModel.read(tmp_path / "best.safetensors").step == 4, "the best model is ahead of the state"
    result = run(tmp_path)
    assert result.resumed_at == 2
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_a_run_killed_twice_with_accumulation_and_workers(run: Run, tmp_path: Path) -> None:
    settings = quick(accumulate=2, batch_size=3, loader_workers=1)
    whole = run(tmp_path / "whole", settings)
    for step in (3, 5):
        with pytest.raises(StopError):
            run(tmp_path / "killed", settings, log=stop_at(step))
    result = run(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


def test_a_running_mean_of_the_weights_is_kept_and_resumed(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    settings = quick(ema_decay=0.9)
    whole = run(tmp_path / "whole", settings)
    with pytest.raises(StopError):
        run(tmp_path / "killed", settings, log=stop_at(5))
    result = run(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)
    losses = [[row["loss/total"] for row in training.history] for training in (whole, undisturbed)]
    assert losses[0] == losses[1], "the weights themselves go their way"
    assert whole.best.digest != undisturbed.best.digest, "what is kept is their mean"


def test_a_finished_run_is_not_trained_again(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    first = run(tmp_path)
    logged: list[Row] = []
    again = run(tmp_path, log=logged.append)
    assert logged == first.history
    assert again.resumed_at == 7
    assert again.history == first.history
    assert again.best.digest == undisturbed.best.digest


def test_a_half_written_state_is_refused(run: Run, tmp_path: Path) -> None:
    run(tmp_path, quick(steps=2))
    state = tmp_path / "last.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FaceReconError, match="remove it"):
        run(tmp_path)


class _Nothing(BaseModel):
    pass


class _Dropping(ReconstructionModel):
    """A network that rolls dice while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(8, 3, 1), nn.Tanh())

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.layers(inputs), None


def test_a_network_that_rolls_dice_is_resumed_bit_for_bit_too(run: Run, tmp_path: Path, registry: None) -> None:
    @register_model(_Nothing)
    def dropping(options: _Nothing) -> ReconstructionModel:
        return _Dropping()

    model = ModelSettings(family="dropping")
    whole = run(tmp_path / "whole", model=model)
    torch.manual_seed(99)
    with pytest.raises(StopError):
        run(tmp_path / "killed", model=model, log=stop_at(5))
    torch.rand(3)
    result = run(tmp_path / "killed", model=model)
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


# ---------------------------------------------------------------------------------------------------- coarse, then fine


def test_the_first_steps_see_half_the_size_and_a_killed_run_goes_on_bit_for_bit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[int] = []
    forward = loop.ReconstructionLoss.forward

    def watch(self: Any, output: Any, batch: Any, step: int, coarse: bool) -> Any:
        sides.append(batch.image.shape[-1])
        assert output.prediction.shape == batch.image.shape
        assert coarse == (sides[-1] == 32)
        return forward(self, output, batch, step, coarse)

    monkeypatch.setattr(loop.ReconstructionLoss, "forward", watch)
    settings = quick(coarse_share=0.6)
    whole = run(tmp_path / "whole", settings)
    assert sides == [32] * 5 + [64] * 2
    with pytest.raises(StopError):
        run(tmp_path / "killed", settings, log=stop_at(3))
    result = run(tmp_path / "killed", settings)
    assert result.best.digest == whole.best.digest
    assert timeless(result.history) == timeless(whole.history)


# ----------------------------------------------------------------------------------------------- batches and precision


class _Plain(ReconstructionModel):
    """Two convolutions: no statistics of a batch, so that two half batches teach what a whole one does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 3, 3, padding=1), nn.Tanh())

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.layers(inputs), None


def test_two_half_batches_teach_what_a_whole_one_does(
    run: Run, tmp_path: Path, registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @register_model(_Nothing)
    def plain(options: _Nothing) -> ReconstructionModel:
        return _Plain()

    norms: list[float] = []
    clip = loop.Fabric.clip_gradients

    def watch(*args: Any, **options: Any) -> Tensor:
        norms.append(float(clip(*args, **options)))
        return torch.tensor(norms[-1])

    monkeypatch.setattr(loop.Fabric, "clip_gradients", watch)
    same = {"steps": 3, "clip_norm": 1e6, "validate_every": 3, "learning_rate": 1e-2, "warmup_steps": 0}
    masks = MaskSettings(curriculum=NO_CURRICULUM)
    whole, halves, half = (
        run(
            tmp_path / name,
            quick(**same, batch_size=size, accumulate=parts),
            model=ModelSettings(family="plain"),
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


def test_it_goes_on_from_a_checkpoint_made_elsewhere(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    with pytest.raises(StopError):
        run(tmp_path / "elsewhere", log=stop_at(5))
    result = run(tmp_path / "own", quick(resume_from=str(tmp_path / "elsewhere")))
    assert result.resumed_at == 4
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_in_a_folder_of_other_settings_nothing_is_trained_and_nothing_lost(
    tiny_manifest: Manifest, tiny_masks: MaskSet, tmp_path: Path
) -> None:
    def train_with(settings: TrainingSettings, seed: int = 0) -> Training:
        chosen = MaskSettings()
        origin = origin_of(tiny_manifest, tiny_masks, chosen, TINY, settings, seed)
        return train(tiny_manifest, tiny_masks, TrainingMasks(chosen, 64), TINY, settings, seed, tmp_path, origin)

    train_with(quick(steps=2))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for settings, seed in ((quick(steps=2, learning_rate=1e-4), 0), (quick(steps=2), 1), (quick(steps=4), 0)):
        with pytest.raises(FaceReconError, match="was made of other settings than this run: give another folder"):
            train_with(settings, seed)
    with pytest.raises(FaceReconError, match="was made of other precision and settings than this run"):
        train_with(quick(steps=2, precision="bf16-mixed"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert train_with(quick(steps=2, resume_from=str(tmp_path))).resumed_at == 2


def test_every_face_is_seen_once_an_epoch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = loop.TrainingFaces.__getitem__

    def watch(self: Any, draw: Any) -> Any:
        seen.append(draw.index)
        return real(self, draw)

    monkeypatch.setattr(loop.TrainingFaces, "__getitem__", watch)
    run(tmp_path, quick(steps=4, accumulate=2, batch_size=3))
    assert len(seen) == 4 * 2 * 3
    assert [sorted(seen[start : start + 8]) for start in (0, 8, 16)] == [list(range(8))] * 3


def test_half_precision_trains(run: Run, tmp_path: Path, undisturbed: Training) -> None:
    result = run(tmp_path, quick(steps=3, precision="bf16-mixed"))
    assert all(value.dtype in (torch.float32, torch.int64) for value in result.best.weights.values())
    half, whole = (each.history[0]["loss/total"] for each in (result, undisturbed))
    assert half != whole, "it was not computed in 16 bits"
    assert half == pytest.approx(whole, rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_a_run_on_a_gpu_is_resumed(precision: str, run: Run, tmp_path: Path) -> None:
    settings = quick(accelerator="cuda", precision=precision, threads=None)
    whole = run(tmp_path / "whole", settings)
    with pytest.raises(StopError):
        run(tmp_path / "killed", settings, log=stop_at(5))
    result = run(tmp_path / "killed", settings)
    assert result.resumed_at == 4
    for row, other in zip(result.history, whole.history, strict=True):
        assert row["loss/total"] == pytest.approx(other["loss/total"], rel=0.02)


# -------------------------------------------------------------------------------------------- what it ends with


def test_the_best_checkpoint_has_the_lowest_hole_l1(run: Run, tmp_path: Path, tiny_masks: MaskSet) -> None:
    # so high a rate, which does not fall, that the last step is not the best
    rough = quick(steps=6, validate_every=1, learning_rate=1.0, final_learning_rate=1.0, warmup_steps=0)
    result = run(tmp_path, rough)
    errors = [row["val/hole_l1"] for row in result.history]
    assert errors[-1] > min(errors), "this run says nothing: choose another rate"
    assert result.best.step == 1 + errors.index(min(errors))
    kept = TrainedModel.read(tmp_path / "best.safetensors").weights
    assert all(
        torch.equal(value, kept[name])
        for name, value in result.best.weights.items()
        if not name.startswith(("confidence_scale", "confidence_shift"))
    )


def test_validation_is_the_mean_over_levels_of_each_faces_own_masks(
    undisturbed: Training, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    model, faces = undisturbed.best.build(), evaluation_faces(tiny_manifest, "val", 2)
    row = validate(model, faces, tiny_masks, torch.device("cpu"))
    errors = []
    for level in (1, 2, 3):
        for image, sha in zip(faces.images, faces.sha256s, strict=True):
            mask = torch.from_numpy(tiny_masks.for_face(sha, level, "brush"))[None, None].float()
            shown = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
            with torch.no_grad():
                output = model.eval()(shown, mask).reconstruction
            errors.append((output - shown).abs()[mask.expand_as(shown) == 1].mean().item())
    assert row["val/hole_l1"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert undisturbed.best.build().training is False


def test_validation_in_the_curves_is_that_of_the_saved_model(
    undisturbed: Training, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    row = next(row for row in undisturbed.history if row["step"] == undisturbed.best.step)
    model, faces = undisturbed.best.build(), evaluation_faces(tiny_manifest, "val", 64)
    again = validate(model, faces, tiny_masks, torch.device("cpu"))
    assert again == {name: pytest.approx(row[name], rel=1e-5) for name in again}
    assert model.training, "a network goes on training after its validation"


def test_it_overfits_a_few_faces(run: Run, tmp_path: Path) -> None:
    still = AugmentationSettings(flip=0, rotation=0, brightness=0, contrast=0, colour=0, blur=0)
    settings = quick(steps=120, batch_size=8, learning_rate=1e-2, validate_every=120, augmentation=still)
    # which starts from grey: the default starts from a fill that is better than half of its loss
    model = ModelSettings(family="unet_attention", options={"features": [8, 16, 32]})
    history = run(tmp_path, settings, model=model, masks=MaskSettings(curriculum=NO_CURRICULUM)).history
    first, last = (np.mean([row["loss/hole"] for row in part]) for part in (history[:5], history[-5:]))
    assert last < first / 2


# ------------------------------------------------------------------------------------------------------------ errors


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


def test_a_model_that_paints_no_numbers_on_val_is_an_error(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    model = _Diverging(_At(step=0, where="loss")).eval()
    for parameter in model.parameters():
        parameter.data.fill_(math.nan)
    with pytest.raises(DivergedError, match="what the model paints on val is no number"):
        validate(model, evaluation_faces(tiny_manifest, "val", 2), tiny_masks, torch.device("cpu"))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_good_state(
    where: str, run: Run, tmp_path: Path, registry: None
) -> None:
    @register_model(_At)
    def diverging(options: _At) -> ReconstructionModel:
        return _Diverging(options)

    model = ModelSettings(family="diverging", options={"step": 6, "where": where})
    files = [tmp_path / name for name in ("best.safetensors", "last.safetensors")]
    good: list[list[str]] = []

    def log(row: Row) -> None:
        if row["step"] == 5:
            good.append([sha256_file(file) for file in files])

    with pytest.raises(
        FaceReconError, match=rf"the {where} is no longer a number at step 6 \(l1 .*hole .*learning_rate"
    ):
        run(tmp_path, model=model, log=log)
    assert [[sha256_file(file) for file in files]] == good
    assert TrainedModel.read(files[0]).step <= 4


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_faces_is_an_error(split: str, run: Run, tmp_path: Path, tiny_manifest: Manifest) -> None:
    faces = tiny_manifest.faces[tiny_manifest.faces["split"] != split]
    manifest = Manifest(root="", faces=faces, store=tiny_manifest.store, size=tiny_manifest.size)
    with pytest.raises(FaceReconError, match=rf"the {split} split has no face .*data\.splits"):
        run(tmp_path, manifest=manifest)
