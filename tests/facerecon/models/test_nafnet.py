"""The network of gated blocks: its size, its options, its reach."""

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from facerecon.models import build_model
from facerecon.models.nafnet import ChannelAttention, NAFBlock, SimpleGate


def multiplications(family: str) -> float:
    """Of one image of 64 x 64."""
    model = build_model(family, {}).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    return counter.get_total_flops() / 2


def test_it_costs_no_more_than_the_default_u_net() -> None:
    assert 0.8 < multiplications("nafnet") / multiplications("unet_attention") < 1


@pytest.mark.parametrize(("levels", "fold"), [(2, 2), (3, 2), (2, 4)])
def test_stride_follows_fold_and_levels(levels: int, fold: int) -> None:
    model = build_model("nafnet", {"widths": [8] * levels, "blocks": [1] * levels, "fold": fold}).eval()
    assert model.stride == fold * 2 ** (levels - 1)
    side = model.stride
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side), torch.ones(1, 1, side, side)).prediction.shape[-1] == side


@pytest.mark.parametrize(
    "options",
    [
        {"widths": [16], "blocks": [1]},
        {"widths": [16, 18], "blocks": [1, 1]},
        {"widths": [16, 16], "blocks": [1]},
        {"widths": [16, 16], "blocks": [1, 0]},
        {"fold": 1},
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"widths|blocks|fold"):
        build_model("nafnet", options)


def test_a_gate_multiplies_the_halves_of_the_channels() -> None:
    features = torch.arange(8.0).reshape(1, 4, 1, 2)
    assert torch.equal(SimpleGate()(features), features[:, :2] * features[:, 2:])


def test_channel_attention_weighs_by_the_means_of_the_whole_image() -> None:
    layer = ChannelAttention(2)
    with torch.no_grad():
        layer.weight.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]])[..., None, None])
        layer.weight.bias.zero_()
        features = torch.tensor([[[[1.0, 3.0]], [[4.0, 6.0]]]])
        assert layer(features)[0, :, 0].tolist() == [[5.0, 15.0], [8.0, 12.0]]


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_a_block_reaches_as_far_as_its_dilation(dilation: int) -> None:
    torch.manual_seed(0)
    convolution = NAFBlock(4, dilation).around[2]
    features = torch.zeros(1, 8, 11, 11)
    features[..., 5, 5] = 1
    with torch.no_grad():
        seen = (convolution(features) - convolution(torch.zeros_like(features))).abs().sum(dim=(0, 1)) > 0
    assert {(row - 5, column - 5) for row, column in seen.nonzero().tolist()} == {
        (row * dilation, column * dilation) for row in (-1, 0, 1) for column in (-1, 0, 1)
    }


def test_a_deep_stack_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 16, 8, 8)
    with torch.no_grad():
        changed = NAFBlock(16)(features) - features
    assert 0 < changed.std() < 0.2 * features.std()
