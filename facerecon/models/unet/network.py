"""A U-Net with skips (Ronneberger et al., 2015) that gives the residual to the degraded image."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.layers.blocks import double_convolution, encode
from facerecon.models.layers.confidence import ConfidenceHead
from facerecon.models.restoration import RestorationModel
from facerecon.models.unet import UNetOptions

HEAD_SCALE = 0.1
"""Of the image head's initial weights: an untrained network returns nearly its input."""


class UNet(RestorationModel):
    """The network; see ``UNetOptions``."""

    def __init__(self, options: UNetOptions) -> None:
        super().__init__()
        widths, self.fold, norm = options.features, options.fold, options.norm
        self.stride = options.stride
        self.encoders = nn.ModuleList([double_convolution(3, widths[0], self.fold, norm)])
        self.encoders.extend(double_convolution(*pair, norm=norm) for pair in pairwise(widths))
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.upsamplers = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in coarse_to_fine)
        self.decoders = nn.ModuleList(double_convolution(2 * width, width, norm=norm) for _, width in coarse_to_fine)
        self.image_head = nn.Conv2d(widths[0], 3 * self.fold**2, 1)
        with torch.no_grad():
            for value in self.image_head.parameters():
                value.mul_(HEAD_SCALE)
        self.confidence_head = (
            ConfidenceHead(list(widths[::-1]), self.fold, masked=False) if options.confidence else None
        )

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        skips = encode(self.encoders, self.pool, image)
        decoded = [skips.pop()]
        for upsample, decoder in zip(self.upsamplers, self.decoders, strict=True):
            decoded.append(decoder(torch.cat((skips.pop(), upsample(decoded[-1])), dim=1)))
        residual = F.pixel_shuffle(self.image_head(decoded[-1]), self.fold)
        logits = None if self.confidence_head is None else self.confidence_head(image, image + residual, decoded)
        return residual, logits
