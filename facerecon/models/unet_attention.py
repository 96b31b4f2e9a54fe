"""A U-Net with additive attention gates on its skips.

Ronneberger et al., U-Net (2015); gates after Oktay et al., Attention U-Net (2018). The bottleneck is gated by
itself: one 1x1 convolution to half the channels, ReLU, 1x1 convolution, sigmoid.
"""

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from facerecon.config.base import Settings
from facerecon.models import register_model
from facerecon.models.base import ReconstructionModel


class UNetAttentionOptions(Settings):
    """``features``: channels of each level, from the finest to the bottleneck."""

    features: tuple[int, ...] = (16, 32, 64, 128, 256)
    confidence: bool = Field(True, description="with a head that says how sure the model is of each pixel")

    @field_validator("features")
    @classmethod
    def _levels(cls, features: tuple[int, ...]) -> tuple[int, ...]:
        if not 2 <= len(features) <= 7 or any(width < 4 or width % 2 for width in features):
            raise ValueError("needs 2 to 7 levels of even width, at least 4")
        return features


def _double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class AttentionGate(nn.Module):
    """Weighs a skip [N, C, H, W] by a map in (0, 1) computed from the skip and the decoder's signal [N, G, H, W]."""

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        inner = skip // 2
        self.skip = nn.Conv2d(skip, inner, 1)
        self.signal = nn.Conv2d(signal, inner, 1)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """The weighed skip, and the map [N, 1, H, W]."""
        weights = torch.sigmoid(self.weight(torch.relu(self.skip(skip) + self.signal(signal))))
        return skip * weights, weights


class SelfGate(nn.Module):
    """Weighs features [N, C, H, W] by a map in (0, 1) computed from themselves alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, channels // 2, 1)
        self.weight = nn.Conv2d(channels // 2, 1, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighed features, and the map [N, 1, H, W]."""
        weights = torch.sigmoid(self.weight(torch.relu(self.inner(features))))
        return features * weights, weights


class ConfidenceHead(nn.Module):
    """Log-odds [N, 1, H, W] that a pixel's error is small, from what the network saw, thought and painted.

    It takes the network's input [N, 4, H, W], its prediction [N, 3, H, W] and the decoder's features, coarse to fine,
    ``channels`` wide. How far a pixel lies inside its hole comes from the share of holes around it, in windows of
    several sizes: coarser features know it too, but only as well as their grid allows.
    """

    WIDTH = 16
    WINDOWS = (5, 11, 23)

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.coarse = nn.ModuleList(nn.Conv2d(width, self.WIDTH, 1, bias=False) for width in channels[:-1])
        self.fine = nn.Conv2d(channels[-1] + 4 + 3 + len(self.WINDOWS), self.WIDTH, 3, padding=1, bias=False)
        self.output = nn.Sequential(
            nn.BatchNorm2d(self.WIDTH),
            nn.LeakyReLU(0.1),
            nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(self.WIDTH),
            nn.LeakyReLU(0.1),
            nn.Conv2d(self.WIDTH, 1, 1),
        )

    def forward(self, inputs: Tensor, prediction: Tensor, decoded: list[Tensor]) -> Tensor:
        # detached: confidence is learned from what the network does, and must not shape what it paints
        *coarse, fine = (features.detach() for features in decoded)
        around = [_share_around(inputs[:, 3:], size) for size in self.WINDOWS]
        seen = self.fine(torch.cat((fine, inputs, prediction.detach(), *around), dim=1))
        # enlarged step by step and added on the way: enlarging each to the full size would cost three times as much
        hidden = self.coarse[0](coarse[0])
        for layer, features in zip(self.coarse[1:], coarse[1:], strict=True):
            hidden = _doubled(hidden) + layer(features)
        hidden = _doubled(hidden) + seen
        return self.output(hidden)


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear")


def _share_around(mask: Tensor, size: int) -> Tensor:
    """The share of holes [N, 1, H, W] in the window of ``size`` pixels around each pixel, cut off at the edge."""
    # rows, then columns: the same mean with far fewer additions
    rows = F.avg_pool2d(mask, (size, 1), 1, (size // 2, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), 1, (0, size // 2), count_include_pad=False)


class UNetAttention(ReconstructionModel):
    """The network; with features (64, 128, 256, 512, 1024) and no confidence head it has 31.9 M parameters."""

    def __init__(self, options: UNetAttentionOptions) -> None:
        super().__init__()
        widths = options.features
        self.stride = 2 ** (len(widths) - 1)
        self.encoders = nn.ModuleList(
            _double_convolution(before, width) for before, width in zip((4, *widths[:-1]), widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck_gate = SelfGate(widths[-1])
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.upsamplers = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in coarse_to_fine)
        self.gates = nn.ModuleList(AttentionGate(width, width) for _, width in coarse_to_fine)
        self.decoders = nn.ModuleList(_double_convolution(2 * width, width) for _, width in coarse_to_fine)
        self.image_head = nn.Conv2d(widths[0], 3, 1)
        self.confidence_head = ConfidenceHead(list(widths[::-1])) if options.confidence else None

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        decoded, _ = self._decode(inputs)
        prediction = torch.tanh(self.image_head(decoded[-1]))
        return prediction, None if self.confidence_head is None else self.confidence_head(inputs, prediction, decoded)

    def attention_maps(self, inputs: Tensor) -> dict[str, Tensor]:
        _, maps = self._decode(inputs)
        scales = [2**level for level in reversed(range(len(maps)))]
        return {
            f"1/{scale}": F.interpolate(weights, scale_factor=float(scale), mode="bilinear")
            for scale, weights in zip(scales, maps, strict=True)
        }

    def _decode(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The features of the gated bottleneck and of each decoder, and the gates' maps, coarse to fine."""
        features = inputs
        skips: list[Tensor] = []
        for encoder in self.encoders:
            if skips:
                features = self.pool(features)
            features = encoder(features)
            skips.append(features)
        features, weights = self.bottleneck_gate(skips.pop())
        decoded, maps = [features], [weights]
        for upsample, gate, decoder in zip(self.upsamplers, self.gates, self.decoders, strict=True):
            features = upsample(features)
            skip, weights = gate(skips.pop(), features)
            features = decoder(torch.cat((skip, features), dim=1))
            decoded.append(features)
            maps.append(weights)
        return decoded, maps


@register_model(UNetAttentionOptions)
def unet_attention(options: UNetAttentionOptions) -> UNetAttention:
    """Build the attention U-Net."""
    return UNetAttention(options)
