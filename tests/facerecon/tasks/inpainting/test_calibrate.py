"""Calibration: what is said comes true more often, the ranking and the picture stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.calibration import platt_scaling
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.calibrate import calibrated


@given(scale=st.floats(0.3, 3), shift=st.floats(-1, 1), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_scale_and_shift_are_found_again(scale: float, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, 40_000)
    right = (rng.random(40_000) < expit(scale * logits + shift)).astype(np.float64)
    assert platt_scaling(logits, right) == pytest.approx((scale, shift), abs=0.1)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_of_one_kind_teach_nothing(outcome: float) -> None:
    assert platt_scaling(np.linspace(-1, 1, 10), np.full(10, outcome)) == (1.0, 0.0)


def test_a_ranking_is_never_turned_round() -> None:
    logits = np.linspace(-3, 3, 1000)
    right = (np.arange(1000) % 10 < np.where(logits < 0, 9, 5)).astype(np.float64)
    scale, shift = platt_scaling(logits, right)
    assert scale == 1.0
    assert expit(logits + shift).mean() == pytest.approx(right.mean(), abs=1e-3)


@pytest.fixture
def faces(tiny_manifest: Manifest) -> EvaluationFaces:
    return evaluation_faces(tiny_manifest, "val", 8)


def outputs(
    model: TrainedModel, faces: EvaluationFaces, masks: MaskSet
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Reconstruction, confidence and hole of the faces under brush masks of level 2."""
    image = torch.from_numpy(faces.images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
    mask = torch.from_numpy(np.stack([masks.for_face(sha, 2, "brush") for sha in faces.sha256s]))[:, None].float()
    with torch.inference_mode():
        output = model.build()(image, mask)
    return output.reconstruction, output.confidence(mask), mask == 1


def test_only_the_confidence_changes_and_its_order_stays(
    tiny_model: TrainedModel, faces: EvaluationFaces, tiny_masks: MaskSet
) -> None:
    after = calibrated(tiny_model, faces, tiny_masks, torch.device("cpu"))
    (image, before, hole), (same, now, _) = (outputs(model, faces, tiny_masks) for model in (tiny_model, after))
    assert torch.equal(image, same)
    assert not torch.allclose(before[hole], now[hole])
    scale, shift = (float(after.weights[f"confidence_{name}"]) for name in ("scale", "shift"))
    assert scale > 0
    torch.testing.assert_close(
        torch.from_numpy(expit(scale * logit(before[hole].double().numpy()) + shift)).float(),
        now[hole],
        atol=1e-3,
        rtol=0,
    )
    changed = {name for name in after.weights if not torch.equal(after.weights[name], tiny_model.weights[name])}
    assert "confidence_shift" in changed
    assert changed <= {"confidence_scale", "confidence_shift"}


def test_what_is_said_is_nearer_to_what_happens(
    tiny_model: TrainedModel, faces: EvaluationFaces, tiny_masks: MaskSet
) -> None:
    truth = torch.from_numpy(faces.images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1

    def gap(model: TrainedModel) -> float:
        image, confidence, hole = outputs(model, faces, tiny_masks)
        right = ((image - truth).abs().mean(dim=1, keepdim=True) <= 2 * 16 / 255).float()
        return abs(float(confidence[hole].mean() - right[hole].mean()))

    assert gap(calibrated(tiny_model, faces, tiny_masks, torch.device("cpu"))) < gap(tiny_model) / 2


def test_a_model_without_confidence_stays_as_it_is(faces: EvaluationFaces, tiny_masks: MaskSet) -> None:
    from facerecon.models import build_model

    options = {"features": [4, 8], "confidence": False}
    plain = TrainedModel("unet_attention", options, 64, 1, build_model("unet_attention", options).state_dict())
    assert calibrated(plain, faces, tiny_masks, torch.device("cpu")) is plain


def test_it_learns_nothing_from_masks_that_are_never_trained_on(
    tiny_model: TrainedModel, faces: EvaluationFaces, tiny_masks: MaskSet
) -> None:
    """How well the confidence holds under ``held_out`` masks is to be found out, not fitted."""
    without = replace(tiny_masks, masks={key: of for key, of in tiny_masks.masks.items() if key[1] != "held_out"})
    assert len(without.masks) == len(tiny_masks.masks) / 2
    with_them, alone = (calibrated(tiny_model, faces, masks, torch.device("cpu")) for masks in (tiny_masks, without))
    assert with_them.digest == alone.digest != tiny_model.digest
