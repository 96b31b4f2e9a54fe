"""Enlargement by a convolution is PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F

from facerecon.models.layers.enlargement import BicubicEnlargement


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 1, 3, 4), (2, 3, 17, 12)])
def test_it_is_bicubic_interpolation_up_to_the_edge(scale: int, shape: tuple[int, ...]) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(image, scale_factor=float(scale), mode="bicubic")
    torch.testing.assert_close(BicubicEnlargement(scale)(image), wanted, rtol=0, atol=1e-5)


def test_under_autocast_it_is_as_exact() -> None:
    image = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    enlarge = BicubicEnlargement(4)
    with torch.autocast("cpu", torch.bfloat16):
        found = enlarge(image)
    assert torch.equal(found, enlarge(image))


def test_it_is_computed_not_stored() -> None:
    assert BicubicEnlargement(4).state_dict() == {}
