"""What every family that restores images must do: a new one is tested here without an edit."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from facerecon import weights
from facerecon.contract import RESTORATION
from facerecon.export.onnx import export, psnr_of
from facerecon.models import (
    build_model,
    families_of,
    find_family,
    model_options,
    pretrained_weights,
    register_model,
)
from facerecon.models.restoration import RestorationModel
from facerecon.models.unet import UNetOptions
from facerecon.sessions import open_session

every_family = pytest.mark.parametrize("family", families_of("restoration"))
families_with_norms = pytest.mark.parametrize(
    "family", [name for name in families_of("restoration") if "norm" in find_family(name).options.model_fields]
)


def build(family: str, **options: object) -> RestorationModel:
    """The family with its default options but for those given, and always the same initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(family, options)


def used(family: str) -> RestorationModel:
    """As ``build``, in evaluation mode, with statistics of batch normalisations unlike those of a fresh network."""
    model = build(family)
    rng = torch.Generator().manual_seed(2)
    for name, value in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
    return model.eval()


def images(height: int, width: int, count: int = 2) -> Tensor:
    """Images in [-1, 1]."""
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(1)) * 2 - 1


def enlarged(image: Tensor, model: RestorationModel) -> Tensor:
    return image if model.scale == 1 else F.interpolate(image, scale_factor=float(model.scale), mode="bicubic")


class Contract(nn.Module):
    """A model under the signature of its task's files."""

    def __init__(self, model: RestorationModel) -> None:
        super().__init__()
        self.model, self.stride = model, model.stride

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(image)
        return output.restoration, output.confidence


@every_family
@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 40), (33, 31), (64, 64)])
def test_output_is_the_scale_times_as_large_at_any_size(family: str, height: int, width: int) -> None:
    model = used(family)
    with torch.no_grad():
        output = model(images(height, width))
    sides = height * model.scale, width * model.scale
    assert output.restoration.shape == (2, 3, *sides)
    assert output.confidence.shape == (2, 1, *sides)
    assert output.restoration.dtype == output.confidence.dtype == torch.float32


@every_family
@pytest.mark.parametrize(("height", "width"), [(17, 40), (33, 31)])
def test_any_size_is_as_the_image_with_its_edge_repeated_and_cut(family: str, height: int, width: int) -> None:
    model, image = used(family), images(height, width)
    below, right = -height % model.stride, -width % model.stride
    with torch.no_grad():
        got, larger = model(image), model(F.pad(image, (0, right, 0, below), mode="replicate"))
    cut = slice(height * model.scale), slice(width * model.scale)
    torch.testing.assert_close(got.restoration, larger.restoration[:, :, *cut], rtol=0, atol=1e-5)
    torch.testing.assert_close(got.confidence, larger.confidence[:, :, *cut], rtol=0, atol=1e-5)


@every_family
def test_an_untrained_network_gives_nearly_the_enlarged_input(family: str) -> None:
    model, image = build(family), images(64, 64)
    for mode in (True, False):
        with torch.no_grad():
            output = model.train(mode)(image).restoration
        error = (output - enlarged(image, model).clamp(-1, 1)).square().mean().sqrt()
        assert 0 < error < 0.1


@every_family
def test_values_stay_in_range_in_evaluation_whatever_the_weights(family: str) -> None:
    model = build(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        image = images(64, 64)
        in_training, output = model.train()(image).restoration, model.eval()(image)
    assert in_training.abs().max() > 1, "what lies beyond keeps its gradient"
    assert output.restoration.abs().max() == 1
    assert output.confidence.min() >= 0
    assert output.confidence.max() <= 1


@every_family
def test_gradients_reach_every_parameter_and_those_of_the_confidence_only_its_own(family: str) -> None:
    model = build(family)
    output = model(images(2 * model.stride + 32, 2 * model.stride + 32))
    output.restoration.square().mean().backward(retain_graph=True)
    by_image = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    model.zero_grad(set_to_none=True)
    by_confidence: set[str] = set()
    if output.confidence_logits is not None:
        output.confidence_logits.square().mean().backward()
        by_confidence = {name for name, p in model.named_parameters() if p.grad is not None}
        assert by_confidence, "a confidence head that cannot learn"
    assert not by_image & by_confidence
    assert by_image | by_confidence == {name for name, _ in model.named_parameters()}


@every_family
def test_the_image_reaches_the_residual_and_the_confidence(family: str) -> None:
    model, image = used(family), images(64, 64)
    with torch.no_grad():
        before, after = model(image), model(-image)
    assert not torch.equal(before.restoration - enlarged(image, model), after.restoration - enlarged(-image, model))
    if before.confidence_logits is not None:
        assert not torch.equal(before.confidence, after.confidence)


@every_family
def test_confidence_is_calibrated_by_scale_and_shift(family: str) -> None:
    model, image = used(family), images(32, 32)
    with torch.no_grad():
        before = model(image).confidence_logits
        model.confidence_scale.fill_(2)
        model.confidence_shift.fill_(-1)
        after = model(image)
    if before is None:
        assert (after.confidence == 1).all()
    else:
        torch.testing.assert_close(after.confidence, torch.sigmoid(2 * before - 1))


@every_family
def test_an_image_does_not_depend_on_its_batch(family: str) -> None:
    model, image = used(family), images(64, 64, count=3)
    with torch.no_grad():
        together, alone = model(image).restoration, model(image[1:2]).restoration
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


@families_with_norms
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_with_instance_normalisation_it_does_not_in_training_either(family: str, norm: str) -> None:
    model, image = build(family, norm=norm).train(), images(64, 64, count=3)
    with torch.no_grad():
        together, alone = model(image).restoration, model(image[1:2]).restoration
    assert torch.allclose(together[1:2], alone, rtol=0, atol=1e-5) == (norm == "instance")


@pytest.mark.parametrize("features", [(4, 8), (4, 8, 8)], ids=len)
@pytest.mark.parametrize("fold", [1, 2])
def test_the_smallest_size_for_a_unet_with_instance_normalisation_is_the_smallest_it_can_be_trained_on(
    features: tuple[int, ...], fold: int
) -> None:
    options = UNetOptions(features=features, fold=fold, norm="instance")
    model = build("unet", **options.model_dump()).train()
    for size in range(1, 2 * model.stride + 1):
        try:
            model(images(size, size))
        except ValueError:
            with pytest.raises(ValueError, match=f"expected more than {model.stride} px"):
                options.check_size(size)
        else:
            options.check_size(size)


@every_family
def test_initial_weights_follow_the_seed(family: str) -> None:
    first, second = build(family).state_dict(), build(family).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(1)
    other = build_model(family, {}).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@every_family
def test_pretrained_weights_are_rows_that_can_be_fetched(family: str) -> None:
    found = find_family(family)
    for options in (found.options(), *found.variants.values()):
        assert set(pretrained_weights(options)) <= set(weights.names())


@every_family
def test_defaults_are_filled_in_and_unknown_options_refused(family: str) -> None:
    options = model_options(family, {})
    assert model_options(family, options.model_dump()) == options
    with pytest.raises(ValidationError, match="no_such_option"):
        build_model(family, {"no_such_option": 1})


@every_family
def test_onnx_runtime_computes_what_pytorch_computes_at_any_size(family: str) -> None:
    model = used(family)
    module = Contract(model).eval()
    exported = export(module, RESTORATION, {"image": images(64, 64).numpy()}, {}, min_parity=90)
    session = open_session(exported.content, 1)
    for count, height, width in ((1, 16, 16), (1, 37, 80), (3, 64, 33)):
        image = images(height, width, count)
        with torch.no_grad():
            wanted = module(image)
        got = session.run(["restoration", "confidence"], {"image": image.numpy()})
        for value, found, expected in zip(RESTORATION.outputs, got, wanted, strict=True):
            assert found.shape == expected.shape
            assert psnr_of(found, expected.numpy(), value.peak) >= 90


class _Nothing(BaseModel):
    pass


class _Brighter(RestorationModel):
    """Adds the same to everything: the interface does the rest."""

    def __init__(self) -> None:
        super().__init__(scale=2)
        self.light = nn.Parameter(torch.tensor(0.25))

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.light.expand(len(image), 3, *(2 * side for side in image.shape[2:])), None


def test_a_new_family_is_one_registered_function(registry: None) -> None:
    @register_model(_Nothing, task="restoration")
    def brighter(options: _Nothing) -> RestorationModel:
        return _Brighter()

    assert "brighter" in families_of("restoration")
    assert "brighter" not in families_of("inpainting")
    assert pretrained_weights(model_options("brighter", {})) == ()
    model = build_model("brighter", {})
    assert isinstance(model, RestorationModel)
    model.load_pretrained()
    output = model(torch.full((1, 3, 5, 7), 0.5))
    assert output.restoration.shape == (1, 3, 10, 14)
    torch.testing.assert_close(output.restoration, torch.full((1, 3, 10, 14), 0.75))
    assert (output.confidence == 1).all(), "without a head nothing is doubted"
