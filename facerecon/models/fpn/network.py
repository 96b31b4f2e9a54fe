"""The generator of DeblurGAN-v2 (Kupyn et al., 2019): a feature pyramid (Lin et al., 2017) that gives a residual.

The last convolution computes blocks of 2x2 pixels at half the image's size, where the published one enlarges first.
An image of 64 pixels has 2x2 cells at the coarsest level, 1/32 of its size.
"""

from typing import cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from facerecon.models.fpn import FPNOptions
from facerecon.models.fpn.encoder import BACKBONES, Encoder
from facerecon.models.layers.blocks import Norm, normalisation
from facerecon.models.layers.confidence import ConfidenceHead
from facerecon.models.restoration import RestorationModel
from facerecon.weights import weights_path

HEAD_SCALE = 0.1
"""Of the image head's initial weights: an untrained network returns nearly its input."""


class FPN(RestorationModel):
    """The network; see ``FPNOptions``."""

    stride = 32

    def __init__(self, options: FPNOptions) -> None:
        super().__init__()
        width, half, norm = options.width, options.width // 2, options.norm
        self.pretrained_weights = options.pretrained_weights
        self.fixed = norm == "instance"
        self.encoder = Encoder(BACKBONES[options.backbone])
        first, *others = self.encoder.channels
        self.finest = nn.Conv2d(first, half, 1)
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in reversed(others))
        self.merges = nn.ModuleList(_convolution(width, width, norm) for _ in others[1:])
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, half, 3, padding=1, bias=False),
                nn.ReLU(inplace=True),
                nn.Conv2d(half, half, 3, padding=1, bias=False),
                nn.ReLU(inplace=True),
            )
            for _ in others
        )
        self.smooth = _convolution(half * len(others), half, norm)
        self.smooth_finest = _convolution(half, half, norm)
        self.image_head = nn.Conv2d(half, 3 * 2**2, 3, padding=1)
        with torch.no_grad():
            for value in self.image_head.parameters():
                value.mul_(HEAD_SCALE)
        channels = [width] * (len(others) - 1) + [half, half]
        self.confidence_head = ConfidenceHead(channels, fold=2, masked=False) if options.confidence else None

    def load_pretrained(self) -> None:
        for name in self.pretrained_weights:
            stored, own = load_file(weights_path(name)), self.encoder.state_dict()
            # the counts of batches are not stored, and nothing reads them
            self.encoder.load_state_dict({key: stored.get(key, value) for key, value in own.items()})

    def train(self, mode: bool = True) -> "FPN":
        """As ``nn.Module.train``; with instance normalisation the backbone's statistics stay what they are.

        In training they would be those of the batch.
        """
        super().train(mode)
        if self.fixed:
            for module in self.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        first, *others = self.encoder(image)
        others.reverse()
        levels = [self.laterals[0](others[0])]
        for merge, lateral, features in zip(self.merges, self.laterals[1:], others[1:], strict=True):
            levels.append(merge(lateral(features) + _enlarge(levels[-1], 2)))
        headed = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        factors = [2**index for index in reversed(range(len(levels)))]
        smoothed = self.smooth(torch.cat([_enlarge(*each) for each in zip(headed, factors, strict=True)], dim=1))
        finest = self.smooth_finest(_enlarge(smoothed, 2) + self.finest(first))
        residual = F.pixel_shuffle(self.image_head(finest), 2)
        if self.confidence_head is None:
            return residual, None
        decoded = [*levels[:-1], smoothed, finest]
        return residual, cast(Tensor, self.confidence_head(image, image + residual, decoded))


def _convolution(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), normalisation(norm, outputs), nn.ReLU(inplace=True)
    )


def _enlarge(features: Tensor, factor: int) -> Tensor:
    return features if factor == 1 else F.interpolate(features, scale_factor=float(factor), mode="nearest")
