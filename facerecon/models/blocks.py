"""Layers and options that families share."""

from typing import Annotated

from pydantic import AfterValidator
from torch import nn


def _levels(features: tuple[int, ...]) -> tuple[int, ...]:
    if not 2 <= len(features) <= 7 or any(width < 4 or width % 2 for width in features):
        raise ValueError("needs 2 to 7 levels of even width, at least 4")
    return features


Features = Annotated[tuple[int, ...], AfterValidator(_levels)]
"""Channels of each level of a U-Net."""


def double_convolution(inputs: int, outputs: int, fold: int = 1) -> nn.Sequential:
    """Twice a 3x3 convolution, batch normalisation and ReLU: [N, inputs, H, W] to [N, outputs, H / fold, W / fold].

    ``fold`` pixels in a row are seen as so many channels by the first one (see ``folded_convolution``).
    """
    return nn.Sequential(
        folded_convolution(inputs, outputs, fold),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        folded_convolution(outputs, outputs),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def folded_convolution(inputs: int, outputs: int, fold: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias over images whose pixels are folded into channels (pixel unshuffle).

    As one convolution with a stride it has the same weights in another order, and nothing has to be moved in memory.
    """
    return nn.Conv2d(inputs, outputs, 3 * fold, stride=fold, padding=fold, bias=False)
