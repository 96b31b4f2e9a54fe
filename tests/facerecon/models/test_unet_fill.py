"""The U-Net that improves on a first fill: where it starts, its size, its options."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from facerecon.models import ReconstructionModel, build_model, model_options
from facerecon.models.layers.first_fill import first_fill


def multiplications(family: str, options: dict[str, object]) -> float:
    """Of one image of 64 x 64."""
    model = build_model(family, options).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    return counter.get_total_flops() / 2


def test_it_costs_no_more_than_the_u_net_of_this_size() -> None:
    plain = {"features": [16, 32, 64, 128, 256], "attention": False, "confidence": False}
    assert 0.9 < multiplications("unet_fill", {"confidence": False}) / multiplications("unet_attention", plain) < 1


@pytest.mark.parametrize(("levels", "fold"), [(2, 1), (3, 2), (2, 4)])
def test_stride_follows_fold_and_levels(levels: int, fold: int) -> None:
    model = build_model("unet_fill", {"features": [8] * levels, "fold": fold}).eval()
    side = fold * 2 ** (levels - 1)
    assert model.stride == side
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side), torch.ones(1, 1, side, side)).prediction.shape[-1] == side


@pytest.mark.parametrize(
    "options", [{"features": [16]}, {"features": [16, 17]}, {"features": [2, 4]}, {"fold": 3}, {"prior_grid": 7}]
)
def test_impossible_sizes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"features|fold|prior_grid"):
        build_model("unet_fill", options)


@pytest.mark.parametrize(("start", "fills"), [("prior", True), ("smooth", True), ("none", False)])
def test_without_training_it_is_nearly_the_first_fill(start: str, fills: bool) -> None:
    torch.manual_seed(0)
    model = build_model("unet_fill", {"first_fill": start, "confidence": False}).eval()
    image, mask = torch.full((1, 3, 64, 64), 0.6), torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    filled = first_fill(torch.cat((image * (1 - mask), mask), dim=1))
    with torch.no_grad():
        error = (model(image, mask).reconstruction - filled).abs().max()
    assert (float(error) < 0.1) == fills


@pytest.mark.parametrize(("height", "width"), [(64, 64), (66, 66), (50, 71), (100, 99)])
def test_the_prior_is_aligned_with_an_image_of_any_size(height: int, width: int) -> None:
    """The padding to a multiple of the stride does not shift the face."""
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 6, 6) * 1.6 - 0.8 + 0.1 * torch.randn(200, 3, 6, 6)
    faces = F.interpolate((coarse + coarse.flip(3)) / 2, (64, 64), mode="bicubic").clamp(-1, 1)
    model = build_model("unet_fill", {"prior_grid": 16, "prior_components": 8, "confidence": False}).eval()
    model.fit(faces.split(50))
    image = F.interpolate(faces[:4], (height, width), mode="bilinear", antialias=True)
    mask = torch.zeros(4, 1, height, width)
    mask[..., height // 2 :, :] = 1
    with torch.no_grad():
        error = (model(image, mask).reconstruction - image).abs().mean() / mask.mean()
    assert float(error) < 0.1


def test_the_fitted_prior_is_part_of_the_state_dict() -> None:
    faces = torch.rand((60, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    options = {"prior_grid": 8, "prior_components": 6, "confidence": False}
    model, other = build_model("unet_fill", options).eval(), build_model("unet_fill", options).eval()
    model.fit(faces.split(20))
    assert float(model.state_dict()["prior.brightness.even"].abs().max()) > 0
    other.load_state_dict(model.state_dict())
    mask = torch.ones(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(faces[:1], mask).reconstruction, other(faces[:1], mask).reconstruction)


def test_training_uses_the_prior_late_and_evaluation_always() -> None:
    torch.manual_seed(0)
    faces = torch.rand((60, 3, 64, 64)) * 2 - 1
    options = {"prior_grid": 8, "prior_components": 6, "confidence": False, "prior_from": 0.5}
    model = build_model("unet_fill", options)
    model.fit(faces.split(20))
    smooth = build_model("unet_fill", options | {"first_fill": "smooth"})
    smooth.load_state_dict({name: value for name, value in model.state_dict().items() if "prior" not in name})
    mask = torch.zeros(4, 1, 64, 64)
    mask[..., 8:56, 8:56] = 1

    def shown(network: ReconstructionModel, progress: float) -> Tensor:
        network.set_progress(progress)
        with torch.no_grad():
            return network(faces[:4], mask).reconstruction

    # out of order, as resumed trainings and later ones may come
    for progress, early in ((0.49, True), (0.5, False), (0.0, True), (0.99, False)):
        assert torch.equal(shown(model, progress), shown(smooth, progress)) == early, progress
    model.eval()
    smooth.eval()
    assert torch.equal(shown(model, 0.0), shown(model, 0.99))
    assert not torch.equal(shown(model, 0.0), shown(smooth, 0.0))


def test_confidence_may_be_trained_late_and_evaluation_always_has_it() -> None:
    model = build_model("unet_fill", {"prior_grid": 8, "prior_components": 6, "confidence_from": 0.5})
    image, mask = torch.zeros(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    for progress, learned in ((0.0, False), (0.5, True), (0.49, False)):
        model.set_progress(progress)
        assert (model(image, mask).confidence_logits is not None) == learned
    assert model.eval()(image, mask).confidence_logits is not None


def test_the_small_variant_costs_a_quarter() -> None:
    small = model_options("unet_fill", {"confidence": False}, "small")
    assert multiplications("unet_fill", small.model_dump()) < 0.26 * multiplications("unet_fill", {"confidence": False})
