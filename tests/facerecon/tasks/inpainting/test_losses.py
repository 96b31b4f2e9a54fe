"""The loss terms by their definitions, and their sum."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.models import Reconstruction, build_model
from facerecon.models.base import confidence_target
from facerecon.perception.lpips import LPIPS
from facerecon.tasks.inpainting import losses
from facerecon.tasks.inpainting.dataset import Batch
from facerecon.tasks.inpainting.losses import ReconstructionLoss, hole_l1
from facerecon.tasks.inpainting.training_settings import LossSettings

PIXELS_ONLY = {"perceptual": 0, "identity": 0}


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two smooth images of 64 px, a hole of a quarter and one of a half, points where a face's would be."""
    rng = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand((2, 3, 5, 5), generator=rng) * 2 - 1, (64, 64), mode="bilinear")
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, 16:48, 16:48] = 1
    mask[1, :, 32:] = 1
    points = torch.tensor([[23.0, 30], [41, 30], [32, 39], [25, 47], [39, 47]]).expand(2, 5, 2)
    return Batch(image, mask, points)


@pytest.fixture(scope="module")
def everything() -> ReconstructionLoss:
    """All terms, with intervals of 2 and 3."""
    return ReconstructionLoss(LossSettings(perceptual_interval=2, identity_interval=3))


def noisy(image: Tensor, seed: int = 1) -> Tensor:
    return (image + torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)) * 0.3).clamp(-1, 1)


def output_of(batch: Batch) -> Reconstruction:
    prediction = noisy(batch.image)
    logits = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(2))
    return Reconstruction(torch.where(batch.mask > 0.5, prediction, batch.image), logits, prediction)


@given(
    error=st.floats(-1, 1, width=32),
    outside=st.floats(-1, 1, width=32),
    hole=st.lists(st.integers(0, 63), min_size=1, max_size=64, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_hole_l1_is_the_error_in_the_hole_however_large(error: float, outside: float, hole: list[int]) -> None:
    mask = torch.zeros(1, 1, 64)
    mask[..., hole] = 1
    mask = mask.reshape(1, 1, 8, 8)
    target = torch.zeros(1, 3, 8, 8)
    prediction = torch.where(mask == 1, torch.tensor(error), torch.tensor(outside)).expand(1, 3, 8, 8)
    assert hole_l1(prediction, target, mask).item() == pytest.approx(abs(error), rel=1e-5, abs=1e-30)


def test_hole_l1_is_each_images_own(batch: Batch) -> None:
    prediction = noisy(batch.image)
    together = hole_l1(prediction, batch.image, batch.mask)
    assert together.shape == (2,)
    for index in range(2):
        hole = batch.mask[index].expand(3, -1, -1) == 1
        wanted = (prediction[index][hole] - batch.image[index][hole]).abs().mean()
        torch.testing.assert_close(together[index], wanted)


def test_hole_l1_sees_nothing_outside_the_hole(batch: Batch) -> None:
    prediction = noisy(batch.image)
    spoiled = torch.where(batch.mask == 1, prediction, torch.tensor(math.nan))
    assert torch.equal(hole_l1(spoiled, batch.image, batch.mask), hole_l1(prediction, batch.image, batch.mask))


def test_an_image_without_a_hole_costs_nothing(batch: Batch) -> None:
    empty = torch.zeros_like(batch.mask)
    assert hole_l1(noisy(batch.image), batch.image, empty).tolist() == [0, 0]
    output = output_of(batch)
    whole = Reconstruction(batch.image, output.confidence_logits, output.prediction)
    loss = ReconstructionLoss(LossSettings(**PIXELS_ONLY))(whole, Batch(batch.image, empty, batch.points), 0)
    assert torch.isfinite(loss.total)
    assert loss.terms["confidence"] == 0


@pytest.mark.parametrize(("levels", "right"), [(0, 1), (15.9, 1), (16.1, 0), (-15.9, 1), (-16.1, 0), (255, 0)])
def test_confidence_counts_errors_up_to_16_of_255_as_right(levels: float, right: int) -> None:
    target = torch.zeros(1, 3, 4, 4)
    output = (target + levels * 2 / 255).requires_grad_()
    wanted = confidence_target(output, target)
    assert wanted.shape == (1, 1, 4, 4)
    assert (wanted == right).all()
    assert not wanted.requires_grad


def test_confidence_means_the_error_over_the_colours() -> None:
    target = torch.zeros(1, 3, 1, 1)
    one_colour_off = torch.tensor([40.0, 0, 0]).reshape(1, 3, 1, 1) * 2 / 255
    assert confidence_target(one_colour_off, target).item() == 1
    assert confidence_target(one_colour_off * 1.25, target).item() == 0


def test_confidence_is_learned_in_holes_only(batch: Batch) -> None:
    output = output_of(batch)
    criterion = ReconstructionLoss(LossSettings(**PIXELS_ONLY))
    spoiled = torch.where(batch.mask > 0.5, output.confidence_logits, torch.tensor(99.0))
    before = criterion(output, batch, 0).terms["confidence"]
    assert criterion(output._replace(confidence_logits=spoiled), batch, 0).terms["confidence"] == before
    hole = batch.mask > 0.5
    right = confidence_target(output.reconstruction, batch.image)[hole]
    chance = torch.sigmoid(output.confidence_logits[hole])
    torch.testing.assert_close(before, -(right * chance.log() + (1 - right) * (1 - chance).log()).mean())


def test_the_confidence_loss_does_not_shape_what_is_painted(batch: Batch) -> None:
    torch.manual_seed(0)
    model = build_model("unet_attention", {"features": [4, 8]})
    only = LossSettings(l1=0, hole=0, confidence=1, **PIXELS_ONLY)
    ReconstructionLoss(only)(model(batch.image, batch.mask), batch, 0).total.backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched
    assert all(name.startswith("confidence_head.") for name in touched)


@pytest.mark.parametrize("step", range(7))
def test_total_is_the_weighted_sum_of_the_terms_that_apply(
    batch: Batch, everything: ReconstructionLoss, step: int
) -> None:
    loss = everything(output_of(batch), batch, step)
    chosen = everything.settings
    weights = {"l1": chosen.l1, "hole": chosen.hole, "confidence": chosen.confidence}
    if step % 2 == 0:
        weights["perceptual"] = 2 * chosen.perceptual
    if step % 3 == 0:
        weights["identity"] = 3 * chosen.identity
    assert loss.terms.keys() == weights.keys()
    total = sum(weight * loss.terms[name] for name, weight in weights.items())
    torch.testing.assert_close(loss.total, total)
    assert all(value > 0 for value in loss.terms.values())
    assert not any(value.requires_grad for value in loss.terms.values())


def test_the_networks_that_teach_are_those_of_the_terms_that_weigh_something() -> None:
    assert LossSettings().networks == ["lpips_alex", "sface"]
    assert LossSettings(perceptual_backbone="vgg", identity_network="facenet").networks == ["lpips_vgg", "facenet"]
    assert LossSettings(perceptual=0, identity=0).networks == []


def test_the_perceptual_distance_is_that_of_the_backbone_that_was_chosen(batch: Batch) -> None:
    output, only = output_of(batch), {"identity": 0, "perceptual_interval": 1}
    for backbone in ("alex", "vgg"):
        found = ReconstructionLoss(LossSettings(perceptual_backbone=backbone, **only))(output, batch, 0).terms
        wanted = LPIPS(backbone)(output.reconstruction, batch.image).mean()
        torch.testing.assert_close(found["perceptual"], wanted)


def test_l1_is_of_the_prediction_and_the_rest_of_the_composite(batch: Batch, everything: ReconstructionLoss) -> None:
    wrong = noisy(batch.image)
    good_composite = everything(Reconstruction(batch.image, None, wrong), batch, 0).terms
    assert good_composite["l1"] == (wrong - batch.image).abs().mean()
    assert good_composite["hole"] == 0
    assert good_composite["perceptual"].item() == pytest.approx(0, abs=1e-6)
    assert good_composite["identity"].item() == pytest.approx(0, abs=1e-6)
    assert "confidence" not in good_composite, "a model without that head"
    good_prediction = everything(Reconstruction(wrong, None, batch.image), batch, 0).terms
    assert good_prediction["l1"] == 0
    assert all(good_prediction[name] > 0.01 for name in ("hole", "perceptual", "identity"))


def test_every_term_teaches_the_image(batch: Batch, everything: ReconstructionLoss) -> None:
    for name in ("l1", "hole", "perceptual", "identity"):
        prediction = noisy(batch.image).requires_grad_()
        composite = torch.where(batch.mask > 0.5, prediction, batch.image)
        chosen = {"l1": 0, "hole": 0, "perceptual": 0, "identity": 0, "confidence": 0} | {name: 1}
        before = everything.settings
        everything.settings = LossSettings(**chosen)
        try:
            everything(Reconstruction(composite, None, prediction), batch, 0).total.backward()
        finally:
            everything.settings = before
        assert prediction.grad.any(), name
        assert torch.isfinite(prediction.grad).all(), name
    assert not any(p.requires_grad for p in everything.parameters()), "the teachers do not learn"


def test_networks_of_weight_zero_are_not_loaded(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: str) -> None:
        raise AssertionError(f"{names} was loaded")

    monkeypatch.setattr(losses, "LPIPS", refuse)
    monkeypatch.setattr(losses, "load_teacher", refuse)
    criterion = ReconstructionLoss(LossSettings(confidence=0, **PIXELS_ONLY))
    assert criterion(output_of(batch), batch, 0).terms.keys() == {"l1", "hole"}
    for name in ("perceptual", "identity"):
        with pytest.raises(AssertionError):
            ReconstructionLoss(LossSettings(**(PIXELS_ONLY | {name: 0.1})))


def test_a_network_that_judges_only_is_no_loss() -> None:
    with pytest.raises(ValidationError, match="identity_network"):
        LossSettings(identity_network="dlib")
    unchecked = LossSettings.model_construct(**(LossSettings().model_dump() | {"identity_network": "dlib"}))
    with pytest.raises(FaceReconError, match="judges only"):
        ReconstructionLoss(unchecked)
