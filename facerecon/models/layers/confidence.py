"""The confidence head that families share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.layers.blocks import folded_convolution


class ConfidenceHead(nn.Module):
    """Logits [N, 1, H, W] of the probability that a pixel's error is small.

    Its inputs are the network's input, an image [N, 3, H, W] or image and mask [N, 4, H, W], its prediction
    [N, 3, H, W] and the decoder's features, coarse to fine, with ``channels`` channels, each level twice as fine as the
    one before, the finest, which may be the only one, at H / ``fold``. How deep a pixel lies inside its hole is seen by
    box filters of the mask: coarse features know it only as well as their grid allows.
    """

    WIDTH = 16
    WINDOWS = (5, 11, 23)

    def __init__(self, channels: list[int], fold: int = 1, masked: bool = True) -> None:
        super().__init__()
        self.windows = self.WINDOWS if masked else ()
        inputs = 4 if masked else 3
        self.coarse = nn.ModuleList(nn.Conv2d(width, self.WIDTH, 1, bias=False) for width in channels[:-1])
        self.fine = folded_convolution(channels[-1], self.WIDTH)
        self.pixels = folded_convolution(inputs + 3 + len(self.windows), self.WIDTH, fold)
        self.output = nn.Sequential(
            nn.BatchNorm2d(self.WIDTH),
            nn.LeakyReLU(0.1),
            nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(self.WIDTH),
            nn.LeakyReLU(0.1),
            nn.Conv2d(self.WIDTH, fold**2, 1),
            nn.PixelShuffle(fold) if fold > 1 else nn.Identity(),
        )

    def forward(self, inputs: Tensor, prediction: Tensor, decoded: list[Tensor]) -> Tensor:
        # detached: the confidence's loss must not change what the network paints
        *coarse, fine = (features.detach() for features in decoded)
        hole_shares = [box_filter(inputs[:, 3:], size) for size in self.windows]
        finest = self.fine(fine) + self.pixels(torch.cat((inputs, prediction.detach(), *hole_shares), dim=1))
        if not coarse:
            return self.output(finest)
        # upsampled level by level and added on the way: upsampling each to the full size would cost three times as much
        hidden = self.coarse[0](coarse[0])
        for layer, features in zip(self.coarse[1:], coarse[1:], strict=True):
            hidden = _upsample(hidden) + layer(features)
        hidden = _upsample(hidden) + finest
        return self.output(hidden)


def _upsample(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear")


def box_filter(mask: Tensor, size: int) -> Tensor:
    """The mean [N, 1, H, W] of ``mask`` over a window of ``size`` x ``size`` pixels, cut off at the image's edge."""
    # separable: the same mean with far fewer additions
    rows = F.avg_pool2d(mask, (size, 1), 1, (size // 2, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), 1, (0, size // 2), count_include_pad=False)
