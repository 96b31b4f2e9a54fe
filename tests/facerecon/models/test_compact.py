"""The small network that enlarges: its size and scales."""

import pytest
import torch
from pydantic import ValidationError

from facerecon.models import build_model


def parameters(**options: object) -> int:
    return sum(value.numel() for value in build_model("compact", options).parameters())


def test_it_has_no_more_parameters_than_the_published_one_for_video() -> None:
    assert parameters() <= 621_424
    # the published one, with as many layers: its confidence head is beside
    assert parameters(depth=16, confidence=False) == 621_424


@pytest.mark.parametrize("scale", [2, 4])
def test_the_scale_is_an_option(scale: int) -> None:
    model = build_model("compact", {"scale": scale, "features": 8, "depth": 2})
    assert model.scale == scale
    assert model(torch.zeros(1, 3, 5, 7)).restoration.shape == (1, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("depth", [8, 32])
def test_depth_keeps_the_scale_of_the_features(depth: int) -> None:
    """Nothing normalises them."""
    torch.manual_seed(0)
    model = build_model("compact", {"depth": depth})
    with torch.no_grad():
        features = model.body(torch.rand(2, 3, 16, 16) * 2 - 1)
    assert 0.1 < float(features.std()) < 10


@pytest.mark.parametrize("options", [{"scale": 3}, {"depth": 0}, {"features": 2}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"scale|depth|features"):
        build_model("compact", options)
