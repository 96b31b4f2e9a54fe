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


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a 3x3 convolution, batch normalisation and ReLU: [N, inputs, H, W] to [N, outputs, H, W]."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
