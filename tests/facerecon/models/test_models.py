"""What every family that fills holes must do: a new one is tested here without an edit."""

import math

import pytest
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.models import (
    ReconstructionModel,
    build_model,
    families_of,
    list_models,
    model_options,
    register_model,
)

every_family = pytest.mark.parametrize("family", families_of("inpainting"))


def build(family: str) -> ReconstructionModel:
    """The family with its default options and always the same initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(family, {})


def inputs(model: ReconstructionModel, height: int = 2, width: int = 3, count: int = 2) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] and masks, ``height`` x ``width`` strides large; half of the pixels are holes."""
    rng = torch.Generator().manual_seed(1)
    shape = (height * model.stride, width * model.stride)
    image = torch.rand((count, 3, *shape), generator=rng) * 2 - 1
    return image, (torch.rand((count, 1, *shape), generator=rng) < 0.5).float()


@every_family
@pytest.mark.parametrize(("height", "width"), [(2, 2), (1, 3), (4, 2)])
def test_output_has_the_inputs_shape(family: str, height: int, width: int) -> None:
    model = build(family).eval()
    image, mask = inputs(model, height, width)
    output = model(image, mask)
    assert output.reconstruction.shape == output.prediction.shape == image.shape
    assert output.confidence(mask).shape == mask.shape
    assert output.reconstruction.dtype == torch.float32


@every_family
@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 40), (33, 31)])
def test_an_image_may_have_any_size(family: str, height: int, width: int) -> None:
    """What the network starts from has the image's size; up to a multiple of the stride its edge is repeated."""
    model = build(family).eval()
    size = (-(-height // model.stride) * model.stride, -(-width // model.stride) * model.stride)
    rng = torch.Generator().manual_seed(1)
    image, mask = torch.rand((2, 3, height, width), generator=rng) * 2 - 1, torch.zeros(2, 1, height, width)
    mask[..., : height // 2] = 1
    visible = torch.cat((torch.where(mask > 0.5, torch.zeros_like(image), image), mask), dim=1)
    rows, columns = (torch.arange(side).clamp(max=given - 1) for side, given in zip(size, (height, width), strict=True))
    image[(mask == 1).expand_as(image)] = math.nan
    with torch.no_grad():
        larger = model.prepare_input(visible)[:, :, rows][..., columns]
        got, (prediction, logits) = model(image, mask), model.predict(larger)
        maps, large_maps = model.attention(image, mask), model.attention_maps(larger)
    assert torch.equal(got.prediction, prediction[..., :height, :width])
    assert logits is not None
    assert torch.equal(got.confidence_logits, logits[..., :height, :width])
    known = (mask == 0).expand_as(image)
    assert torch.equal(got.reconstruction[known], image[known])
    assert bool(got.reconstruction.isfinite().all())
    assert all(torch.equal(weights, large_maps[name][..., :height, :width]) for name, weights in maps.items())


@every_family
def test_prediction_stays_in_range_whatever_the_weights(family: str) -> None:
    model = build(family).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        prediction = model(*inputs(model)).prediction
    assert prediction.abs().max() > 0.9
    assert prediction.abs().max() <= 1


@every_family
def test_gradients_reach_every_parameter_and_those_of_the_confidence_only_its_own(family: str) -> None:
    model = build(family)
    image, mask = inputs(model, 4, 4)
    output = model(image, mask)
    output.prediction.square().mean().backward(retain_graph=True)
    by_image = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert output.reconstruction.requires_grad
    model.zero_grad(set_to_none=True)
    by_confidence: set[str] = set()
    if output.confidence_logits is not None:
        output.confidence_logits.square().mean().backward()
        by_confidence = {name for name, p in model.named_parameters() if p.grad is not None}
        assert by_confidence, "a confidence head that cannot learn"
    assert not by_image & by_confidence
    assert by_image | by_confidence == {name for name, _ in model.named_parameters()}


@every_family
@pytest.mark.parametrize("hidden", [0.7, -1.0, math.nan, math.inf, -math.inf])
def test_hole_pixels_cannot_reach_the_network(family: str, hidden: float) -> None:
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        expected = model(image, mask)
        got = model(torch.where(mask > 0.5, torch.tensor(hidden), image), mask)
    assert torch.equal(got.reconstruction, expected.reconstruction)
    assert torch.equal(got.prediction, expected.prediction)
    assert torch.equal(got.confidence(mask), expected.confidence(mask))


@every_family
def test_attention_is_maps_of_shares_as_large_as_the_image_and_does_not_look_under_the_mask(family: str) -> None:
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        maps = model.attention(image, mask)
        hidden = model.attention(torch.where(mask > 0.5, torch.tensor(math.nan), image), mask)
    assert list(maps) == list(hidden)
    for name, weights in maps.items():
        assert weights.shape == mask.shape
        assert weights.min() >= 0
        assert weights.max() <= 1
        assert torch.equal(weights, hidden[name])


@every_family
def test_what_is_hidden_gets_no_gradient_that_is_not_a_number(family: str) -> None:
    model = build(family)
    image, mask = inputs(model)
    image = torch.where(mask > 0.5, torch.tensor(math.nan), image)
    model(image, mask).reconstruction.square().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@every_family
def test_known_pixels_reach_the_network(family: str) -> None:
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        before, after = model(image, mask), model(torch.where(mask > 0.5, image, -image), mask)
    assert not torch.equal(before.prediction, after.prediction)


@every_family
def test_the_mask_itself_reaches_the_network(family: str) -> None:
    """A black-gray image and a hole look alike once the hole is blanked: the mask must tell them apart."""
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        known, hidden = (model(torch.zeros_like(image), m).prediction for m in (torch.zeros_like(mask), mask))
    assert not torch.equal(known, hidden)


@every_family
def test_known_pixels_come_back_bit_for_bit(family: str) -> None:
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        output = model(image, mask)
    hole = mask.expand_as(image) > 0.5
    assert torch.equal(output.reconstruction[~hole], image[~hole])
    assert torch.equal(output.reconstruction[hole], output.prediction[hole])


@every_family
def test_confidence_is_a_probability_and_certain_outside_holes(family: str) -> None:
    model = build(family).eval()
    image, mask = inputs(model)
    with torch.no_grad():
        confidence = model(image, mask).confidence(mask)
    assert (confidence[mask == 0] == 1).all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1


@every_family
def test_a_face_does_not_depend_on_its_batch(family: str) -> None:
    model = build(family).eval()
    image, mask = inputs(model, count=3)
    with torch.no_grad():
        together, alone = model(image, mask).reconstruction, model(image[1:2], mask[1:2]).reconstruction
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


@every_family
def test_initial_weights_follow_the_seed(family: str) -> None:
    first, second = build(family).state_dict(), build(family).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(1)
    other = build_model(family, {}).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@every_family
def test_defaults_are_filled_in_and_accepted(family: str) -> None:
    options = model_options(family, {})
    assert model_options(family, options.model_dump()) == options


@every_family
def test_unknown_options_are_refused(family: str) -> None:
    with pytest.raises(ValidationError, match="no_such_option"):
        build_model(family, {"no_such_option": 1})


def test_unknown_family_names_those_there_are() -> None:
    with pytest.raises(FaceReconError, match=r"'unet_attentoin' not among .*unet_attention"):
        build_model("unet_attentoin", {})


def test_list_is_sorted_and_takes_a_pattern() -> None:
    assert list_models() == sorted(list_models())
    assert "unet_attention" in list_models("unet*")
    assert list_models("no such*") == []


class _Nothing(BaseModel):
    pass


class _OneColour(ReconstructionModel):
    """Everything one colour: the interface does the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.tensor([0.25, 0.5, 0.75]))

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        assert inputs.shape[1] == 4
        return self.colour[None, :, None, None].expand(len(inputs), 3, *inputs.shape[2:]), None


def test_a_new_family_is_one_registered_function(registry: None) -> None:
    @register_model(_Nothing)
    def one_colour(options: _Nothing) -> ReconstructionModel:
        return _OneColour()

    assert "one_colour" in families_of("inpainting")
    image, mask = torch.zeros(1, 3, 5, 7), torch.zeros(1, 1, 5, 7)
    mask[..., 2, 3] = 1
    output = build_model("one_colour", {})(image, mask)
    assert output.reconstruction[0, :, 2, 3].tolist() == [0.25, 0.5, 0.75]
    assert output.reconstruction.count_nonzero() == 3
    assert (output.confidence(mask) == 1).all(), "without a head nothing is doubted"
    assert build_model("one_colour", {}).attention(image, mask) == {}
