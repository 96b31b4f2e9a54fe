"""Parts of U-Nets."""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

Norm = Literal["batch", "instance"]


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Batch normalisation, or instance normalisation with a learned scale and shift."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels, affine=True)


def double_convolution(inputs: int, outputs: int, fold: int = 1, norm: Norm = "batch") -> nn.Sequential:
    """Twice a 3x3 convolution, normalisation and ReLU: [N, inputs, H, W] to [N, outputs, H / fold, W / fold].

    The first one folds pixels into channels (see ``folded_convolution``).
    """
    return nn.Sequential(
        folded_convolution(inputs, outputs, fold),
        normalisation(norm, outputs),
        nn.ReLU(inplace=True),
        folded_convolution(outputs, outputs),
        normalisation(norm, outputs),
        nn.ReLU(inplace=True),
    )


def encode(encoders: Iterable[nn.Module], pool: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Features of each level, fine to coarse: each encoder but the first gets the pooled features of the one before."""
    first, *others = encoders
    features = [first(inputs)]
    for encoder in others:
        features.append(encoder(pool(features[-1])))
    return features


def folded_convolution(inputs: int, outputs: int, fold: int = 1) -> nn.Conv2d:
    """``nn.PixelUnshuffle(fold)`` and a 3x3 convolution without bias, as one strided convolution.

    It has the same weights in another order, and saves the unshuffled copy in memory.
    """
    return nn.Conv2d(inputs, outputs, 3 * fold, stride=fold, padding=fold, bias=False)
