"""Layers that families share: a convolution with a stride is one over folded pixels."""

import pytest
import torch
import torch.nn.functional as F

from facerecon.models.layers.blocks import double_convolution, folded_convolution


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_a_folded_convolution_is_one_over_folded_pixels(fold: int) -> None:
    torch.manual_seed(0)
    layer, images = folded_convolution(3, 5, fold), torch.randn(2, 3, 8 * fold, 4 * fold)
    # [out, in, 3 places of fold pixels, 3 places of fold pixels] as [out, in of each pixel, 3, 3]
    weights = layer.weight.unflatten(2, (3, fold)).unflatten(4, (3, fold)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    expected = F.conv2d(F.pixel_unshuffle(images, fold), weights, padding=1)
    torch.testing.assert_close(layer(images), expected, atol=1e-5, rtol=1e-5)


def test_a_double_convolution_folds_once() -> None:
    assert double_convolution(3, 6, 2)(torch.zeros(1, 3, 16, 8)).shape == (1, 6, 8, 4)
