"""A U-Net with additive attention gates on its skips.

Ronneberger et al., U-Net (2015); gates after Oktay et al., Attention U-Net (2018). The bottleneck is gated by
itself: one 1x1 convolution to half the channels, ReLU, 1x1 convolution, sigmoid.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.base import ReconstructionModel
from facerecon.models.layers.blocks import double_convolution, encode
from facerecon.models.layers.confidence import ConfidenceHead
from facerecon.models.unet_attention import UNetAttentionOptions


class AttentionGate(nn.Module):
    """Weights a skip [N, C, H, W] by a map in (0, 1) computed from the skip and the decoder's signal [N, G, H, W]."""

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        inner = skip // 2
        self.skip = nn.Conv2d(skip, inner, 1)
        self.signal = nn.Conv2d(signal, inner, 1)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted skip, and the map [N, 1, H, W]."""
        weights = torch.sigmoid(self.weight(torch.relu(self.skip(skip) + self.signal(signal))))
        return skip * weights, weights


class SelfGate(nn.Module):
    """Weights features [N, C, H, W] by a map in (0, 1) computed from the features alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, channels // 2, 1)
        self.weight = nn.Conv2d(channels // 2, 1, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted features, and the map [N, 1, H, W]."""
        weights = torch.sigmoid(self.weight(torch.relu(self.inner(features))))
        return features * weights, weights


class UNetAttention(ReconstructionModel):
    """The network; with features (64, 128, 256, 512, 1024) and no confidence head it has 31.9 M parameters."""

    def __init__(self, options: UNetAttentionOptions) -> None:
        super().__init__()
        widths = options.features
        self.stride = 2 ** (len(widths) - 1)
        self.encoders = nn.ModuleList(
            double_convolution(before, width) for before, width in zip((4, *widths[:-1]), widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.attends = options.attention
        if self.attends:
            self.bottleneck_gate = SelfGate(widths[-1])
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.upsamplers = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in coarse_to_fine)
        if self.attends:
            self.gates = nn.ModuleList(AttentionGate(width, width) for _, width in coarse_to_fine)
        self.decoders = nn.ModuleList(double_convolution(2 * width, width) for _, width in coarse_to_fine)
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
        """Features of the bottleneck and each decoder, and the gates' maps, if there are gates; coarse to fine."""
        skips = encode(self.encoders, self.pool, inputs)
        features, maps = skips.pop(), []
        if self.attends:
            features, weights = self.bottleneck_gate(features)
            maps.append(weights)
        decoded = [features]
        for level, (upsample, decoder) in enumerate(zip(self.upsamplers, self.decoders, strict=True)):
            features, skip = upsample(features), skips.pop()
            if self.attends:
                skip, weights = self.gates[level](skip, features)
                maps.append(weights)
            features = decoder(torch.cat((skip, features), dim=1))
            decoded.append(features)
        return decoded, maps
