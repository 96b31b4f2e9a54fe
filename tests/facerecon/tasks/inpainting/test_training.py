"""Inpainting for the loop: what it fits, validates on, and ends with."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.store import FaceStore
from facerecon.errors import DivergedError, FaceReconError
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.models.unet_fill import UNetFillOptions
from facerecon.models.unet_fill.network import UNetFill
from facerecon.tasks.inpainting import training
from facerecon.tasks.inpainting.evaluator import mask_cases
from facerecon.tasks.inpainting.network import network_of
from facerecon.tasks.inpainting.training import validate
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.training.schedule import learning_rate

Train = Callable[..., TrainingResult]


def timeless(history: list[Row]) -> list[Row]:
    """The curves without the speed, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in history]


def test_curves_have_a_point_a_step_and_validation_when_due(undisturbed: TrainingResult) -> None:
    assert [row["step"] for row in undisturbed.history] == [1, 2, 3, 4, 5, 6, 7]
    always = {
        "step",
        "learning_rate",
        "images_per_second",
        *(f"loss/{n}" for n in ("total", "l1", "hole", "confidence")),
    }
    validated = {"val/hole_l1/brush", *(f"val/hole_psnr/brush_level_{level}" for level in (1, 2, 3))}
    for row in undisturbed.history:
        wanted = always | (validated if row["step"] in (2, 4, 6, 7) else set())
        assert row.keys() == wanted, f"step {row['step']}"
        assert all(math.isfinite(value) for value in row.values())
    assert undisturbed.resumed_at == 0


def test_curves_show_the_rate_that_was_used(undisturbed: TrainingResult) -> None:
    settings = TrainingSettings(steps=7, warmup_steps=2)
    assert [row["learning_rate"] for row in undisturbed.history] == [learning_rate(k, settings) for k in range(7)]
    assert undisturbed.history[-1]["learning_rate"] == pytest.approx(settings.final_learning_rate)


def test_only_train_and_val_people_are_read(
    train_blobs: Train, tmp_path: Path, tiny_manifest: Manifest, undisturbed: TrainingResult
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    others = pd.concat([tiny_manifest.split(split) for split in ("gate", "test")])
    assert FaceStore.remove(store, set(others["sha256"])) == len(others) == 5
    manifest = Manifest(tiny_manifest.faces, store=str(store), size=tiny_manifest.size)
    result = train_blobs(tmp_path / "run", manifest=manifest)
    assert result.best.digest == undisturbed.best.digest
    assert timeless(result.history) == timeless(undisturbed.history)


def test_degraded_faces_teach_the_network_and_not_the_prior(
    train_blobs: Train, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    chosen = {"training": ["cctv_train"], "clean_share": 0, "curriculum": 0}
    result = train_blobs(tmp_path / "run", degradations=chosen)
    ours, theirs = result.best.weights, undisturbed.best.weights
    prior = [name for name in ours if name.startswith("prior.")]
    assert prior
    assert all(torch.equal(ours[name], theirs[name]) for name in prior)
    assert result.best.digest != undisturbed.best.digest
    assert result.history[0]["loss/l1"] != undisturbed.history[0]["loss/l1"]
    assert train_blobs(tmp_path / "again", degradations=chosen).best.digest == result.best.digest


def test_the_prior_is_of_the_train_peoples_faces_as_they_are(
    tiny_manifest: Manifest, undisturbed: TrainingResult
) -> None:
    people = tiny_manifest.split("train")["face"]
    faces = np.stack([tiny_manifest.aligned_faces.crop(face) for face in people]).astype(np.float64) / 127.5 - 1
    cells = faces.reshape(len(faces), 8, 8, 8, 8, 3).mean(axis=(2, 4))
    mean = (cells + cells[:, :, ::-1]).mean(axis=0) / 2
    weights = undisturbed.best.weights
    np.testing.assert_allclose(weights["prior.brightness.mean"][0].numpy(), mean.sum(axis=2) / 3**0.5, atol=1e-5)
    assert float(weights["prior.brightness.even"].abs().max()) > 0


def test_what_is_trained_says_every_option_so_that_other_defaults_do_not_change_it(
    undisturbed: TrainingResult,
) -> None:
    tiny = UNetFillOptions(features=(4, 8), prior_grid=8, prior_components=4)
    assert undisturbed.best.options == tiny.model_dump(mode="json")
    assert set(undisturbed.best.options) == set(UNetFillOptions.model_fields)


def test_of_many_faces_the_prior_sees_some_evenly(
    train_blobs: Train, tmp_path: Path, tiny_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(training, "FITTED_FACES", 3)
    monkeypatch.setattr(UNetFill, "fit", lambda self, faces: seen.extend(len(batch) for batch in faces))
    train_blobs(tmp_path)
    people = len(tiny_manifest.split("train"))
    assert people > 3
    assert 1 < sum(seen) <= 3


def test_validation_is_the_mean_over_levels_of_each_faces_own_masks(
    undisturbed: TrainingResult, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    model, faces = network_of(undisturbed.best), evaluation_faces(tiny_manifest, "val", 2)
    row = validate(model, faces, mask_cases(faces, tiny_masks, "brush"), torch.device("cpu"))
    errors = []
    for level in (1, 2, 3):
        for image, sha in zip(faces.images, faces.sha256s, strict=True):
            mask = torch.from_numpy(tiny_masks.for_face(sha, level, "brush"))[None, None].float()
            shown = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
            with torch.no_grad():
                output = model.eval()(shown, mask).reconstruction
            errors.append((output - shown).abs()[mask.expand_as(shown) == 1].mean().item())
    assert row["val/hole_l1/brush"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert undisturbed.best.build().training is False


def test_validation_in_the_curves_is_that_of_the_saved_model(
    undisturbed: TrainingResult, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    row = next(row for row in undisturbed.history if row["step"] == undisturbed.best.step)
    model, faces = network_of(undisturbed.best), evaluation_faces(tiny_manifest, "val", 64)
    again = validate(model, faces, mask_cases(faces, tiny_masks, "brush"), torch.device("cpu"))
    assert again == {name: pytest.approx(row[name], rel=1e-5) for name in again}
    assert model.training, "a network goes on training after its validation"


def test_it_overfits_a_few_faces(train_blobs: Train, tmp_path: Path) -> None:
    still = {"flip": 0, "rotation": 0, "brightness": 0, "contrast": 0, "colour": 0, "blur": 0}
    settings = {"steps": 120, "batch_size": 8, "learning_rate": 1e-2, "validate_every": 120, "augmentation": still}
    # which starts from grey: the default starts from a fill that is better than half of its loss
    model = {"family": "unet_attention", "options": {"features": [8, 16, 32]}}
    history = train_blobs(tmp_path, settings, model=model, masks={"curriculum": {"kind": "none"}}).history
    first, last = (np.mean([row["loss/hole"] for row in part]) for part in (history[:5], history[-5:]))
    assert last < first / 2


def test_a_model_that_paints_no_numbers_on_val_is_an_error(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    model, faces = network_of(tiny_model), evaluation_faces(tiny_manifest, "val", 2)
    for parameter in model.parameters():
        parameter.data.fill_(math.nan)
    with pytest.raises(DivergedError, match="what the model gives on val is no number"):
        validate(model, faces, mask_cases(faces, tiny_masks, "brush"), torch.device("cpu"))


def test_it_ends_with_the_names_of_task_and_teachers_and_a_calibrated_confidence(
    train_blobs: Train, undisturbed: TrainingResult, tmp_path: Path
) -> None:
    assert (undisturbed.best.task, undisturbed.best.teachers, undisturbed.best.size) == ("inpainting", (), 64)
    assert undisturbed.checkpoint_key == "val/hole_l1/brush"
    result = train_blobs(tmp_path, {"steps": 1, "losses": {"identity": 0, "perceptual": 0.1}})
    assert result.best.teachers == ("lpips_alex",)
    kept = TrainedModel.read(tmp_path / "best.safetensors").weights
    assert (float(kept["confidence_scale"]), float(kept["confidence_shift"])) == (1, 0), "fitted once, at the end"
    assert float(result.best.weights["confidence_shift"]) != 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_faces_is_an_error(
    split: str, train_blobs: Train, tmp_path: Path, tiny_manifest: Manifest
) -> None:
    faces = tiny_manifest.faces[tiny_manifest.faces["split"] != split]
    manifest = Manifest(faces, store=tiny_manifest.store, size=tiny_manifest.size)
    with pytest.raises(FaceReconError, match=rf"the {split} split has no face .*data\.splits"):
        train_blobs(tmp_path, manifest=manifest)
