"""The attention U-Net: its size, its options, and that its gates gate."""

import pytest
import torch
from pydantic import ValidationError

from facerecon.models import build_model
from facerecon.models.unet_attention.network import AttentionGate, SelfGate

PUBLISHED = 31_911_811
"""Parameters of the published network that this one follows."""


def count(**options: object) -> int:
    return sum(p.numel() for p in build_model("unet_attention", dict(options)).parameters())


def test_published_widths_have_the_published_size() -> None:
    with torch.device("meta"):
        parameters = count(features=[64, 128, 256, 512, 1024], confidence=False)
    assert abs(parameters / PUBLISHED - 1) < 0.01


def test_the_confidence_head_is_thin() -> None:
    with torch.device("meta"):
        whole, bare = count(), count(confidence=False)
    assert 0 < whole - bare < 0.02 * bare


def test_a_published_network_without_the_head_keeps_its_size() -> None:
    with torch.device("meta"):
        assert count(features=[64, 128, 256, 512, 1024], confidence=False) == 31_913_256


def test_without_attention_it_is_a_plain_u_net() -> None:
    plain = build_model("unet_attention", {"features": [4, 8], "attention": False}).eval()
    gates = count(features=[4, 8]) - count(features=[4, 8], attention=False)
    assert gates == (8 * 4 + 4 + 4 + 1) + (2 * (4 * 2 + 2) + 2 + 1)
    image, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert plain.attention(image, mask) == {}
    assert plain(image, mask).prediction.shape == image.shape


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_stride_follows_the_levels(levels: int) -> None:
    model = build_model("unet_attention", {"features": [4] * levels}).eval()
    assert model.stride == 2 ** (levels - 1)
    side = model.stride
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side), torch.ones(1, 1, side, side)).prediction.shape[-1] == side


@pytest.mark.parametrize("features", [[16], [4] * 8, [2, 4], [5, 8], [16, 0], [], ["wide", 16]])
def test_impossible_widths_are_refused(features: list[int]) -> None:
    with pytest.raises(ValidationError, match="features"):
        build_model("unet_attention", {"features": features})


def test_without_the_head_there_is_no_confidence() -> None:
    model = build_model("unet_attention", {"features": [4, 8], "confidence": False}).eval()
    mask = torch.ones(1, 1, 8, 8)
    output = model(torch.zeros(1, 3, 8, 8), mask)
    assert output.confidence_logits is None
    assert (output.confidence(mask) == 1).all()


def test_a_gate_opens_and_closes_the_skip() -> None:
    gate = AttentionGate(8, 6)
    skip, signal = torch.rand(2, 8, 4, 4), torch.rand(2, 6, 4, 4)
    with torch.no_grad():
        weighed, weights = gate(skip, signal)
        assert weights.shape == (2, 1, 4, 4)
        assert (weights > 0).all()
        assert (weights < 1).all()
        torch.testing.assert_close(weighed, skip * weights)
        for bias, share in ((-100.0, 0.0), (100.0, 1.0)):
            gate.weight.bias.fill_(bias)
            torch.testing.assert_close(gate(skip, signal)[0], skip * share)


def test_a_gate_listens_to_both_of_its_inputs() -> None:
    torch.manual_seed(0)
    gate = AttentionGate(8, 6)
    skip, signal = torch.randn(1, 8, 4, 4), torch.randn(1, 6, 4, 4)
    with torch.no_grad():
        _, weights = gate(skip, signal)
        assert not torch.allclose(gate(skip, -signal)[1], weights)
        assert not torch.allclose(gate(-skip, signal)[1], weights)


def test_the_bottlenecks_gate_closes() -> None:
    gate = SelfGate(8)
    with torch.no_grad():
        gate.weight.bias.fill_(-100)
        assert gate(torch.rand(1, 8, 4, 4))[0].abs().max() < 1e-30


def test_attention_shows_each_gate_enlarged_coarse_to_fine() -> None:
    model = build_model("unet_attention", {"features": [4, 8, 16]}).eval()
    image, mask = torch.rand(2, 3, 8, 16), torch.ones(2, 1, 8, 16)
    with torch.no_grad():
        model.bottleneck_gate.weight.bias.fill_(100)
        model.gates[0].weight.bias.fill_(-100)
        maps = model.attention(image, mask)
    assert list(maps) == ["1/4", "1/2", "1/1"]
    assert all(weights.shape == (2, 1, 8, 16) for weights in maps.values())
    assert (maps["1/4"] == 1).all()
    assert maps["1/2"].max() < 1e-30
    assert 0 < maps["1/1"].min() < maps["1/1"].max() < 1
