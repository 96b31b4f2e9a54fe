"""A network of gated blocks without activations behind a pixel-unshuffle stem.

Blocks after Chen et al., Simple Baselines for Image Restoration (NAFNet, 2022), with GroupNorm of one group in place of
LayerNorm. The image is folded into channels first, so nothing runs at full size.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from facerecon.config.base import Settings
from facerecon.models import register_model
from facerecon.models.base import ReconstructionModel
from facerecon.models.confidence import ConfidenceHead


class NAFNetOptions(Settings):
    """``widths``: channels of each level, from the finest, at 1 / ``fold`` of the image's size, to the bottleneck."""

    widths: tuple[int, ...] = (48, 96, 160)
    blocks: tuple[int, ...] = Field((2, 2, 4), description="blocks of each level, on the way down and again up")
    fold: int = Field(2, ge=2, le=8, description="pixels of a row that are folded into channels")
    confidence: bool = Field(True, description="with a head that says how sure the model is of each pixel")

    @model_validator(mode="after")
    def _levels(self) -> "NAFNetOptions":
        if not 2 <= len(self.widths) <= 6 or any(width < 4 or width % 4 for width in self.widths):
            raise ValueError("widths: needs 2 to 6 levels, each a multiple of 4")
        if len(self.blocks) != len(self.widths) or min(self.blocks) < 1:
            raise ValueError("blocks: needs as many numbers as widths, each at least 1")
        return self


class SimpleGate(nn.Module):
    """The product of the first and the second half of the channels: [N, 2 C, H, W] to [N, C, H, W]."""

    def forward(self, features: Tensor) -> Tensor:
        first, second = features.chunk(2, dim=1)
        return first * second


class ChannelAttention(nn.Module):
    """Weighs channels [N, C, H, W] by what a linear map makes of their means over the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.weight(features.mean(dim=(2, 3), keepdim=True))


class NAFBlock(nn.Module):
    """Looks around (depthwise 3x3, gate, channel attention), then thinks (1x1, gate), each added to what came in.

    Depthwise convolutions are dilated by ``dilation``.
    """

    SCALE = 0.1
    """What is added begins this small, so that a deep stack starts near the identity."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        twice = 2 * channels
        self.around = nn.Sequential(
            nn.GroupNorm(1, channels),
            nn.Conv2d(channels, twice, 1),
            nn.Conv2d(twice, twice, 3, padding=dilation, dilation=dilation, groups=twice),
            SimpleGate(),
            ChannelAttention(channels),
            nn.Conv2d(channels, channels, 1),
        )
        self.within = nn.Sequential(
            nn.GroupNorm(1, channels), nn.Conv2d(channels, twice, 1), SimpleGate(), nn.Conv2d(channels, channels, 1)
        )
        self.scale_around = nn.Parameter(torch.full((1, channels, 1, 1), self.SCALE))
        self.scale_within = nn.Parameter(torch.full((1, channels, 1, 1), self.SCALE))

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.scale_around * self.around(features)
        return features + self.scale_within * self.within(features)


class NAFNet(ReconstructionModel):
    """The network; at the bottleneck the blocks' dilation grows, so that the middle of a wide hole sees its rim."""

    def __init__(self, options: NAFNetOptions) -> None:
        super().__init__()
        widths, fold = options.widths, options.fold
        self.fold = fold
        self.stride = fold * 2 ** (len(widths) - 1)
        levels = list(zip(widths, options.blocks, strict=True))
        self.stem = nn.Conv2d(4 * fold**2, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_stack(width, count) for width, count in levels[:-1])
        fine_to_coarse = list(pairwise(widths))
        self.downsamplers = nn.ModuleList(nn.Conv2d(width, below, 2, 2) for width, below in fine_to_coarse)
        dilations = [1, 2, 4]
        self.bottleneck = nn.Sequential(
            *(NAFBlock(widths[-1], dilations[number % 3]) for number in range(options.blocks[-1]))
        )
        self.upsamplers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, 4 * width, 1), nn.PixelShuffle(2)) for width, below in fine_to_coarse[::-1]
        )
        self.decoders = nn.ModuleList(_stack(width, count) for width, count in levels[-2::-1])
        self.image_head = nn.Sequential(nn.Conv2d(widths[0], 3 * fold**2, 3, padding=1), nn.PixelShuffle(fold))
        self.confidence_head = ConfidenceHead(list(widths[::-1]), fold) if options.confidence else None

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.stem(F.pixel_unshuffle(inputs, self.fold))
        skips: list[Tensor] = []
        for encoder, downsample in zip(self.encoders, self.downsamplers, strict=True):
            features = encoder(features)
            skips.append(features)
            features = downsample(features)
        features = self.bottleneck(features)
        decoded = [features]
        for upsample, decoder in zip(self.upsamplers, self.decoders, strict=True):
            features = decoder(upsample(features) + skips.pop())
            decoded.append(features)
        prediction = torch.tanh(self.image_head(features))
        return prediction, None if self.confidence_head is None else self.confidence_head(inputs, prediction, decoded)


def _stack(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(channels) for _ in range(blocks)))


@register_model(NAFNetOptions)
def nafnet(options: NAFNetOptions) -> NAFNet:
    """Build the network of gated blocks."""
    return NAFNet(options)
