"""How sure a network may be of what it painted: the head that families share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.layers.blocks import folded_convolution


class ConfidenceHead(nn.Module):
    """Log-odds [N, 1, H, W] that a pixel's error is small, from what the network saw, thought and painted.

    It takes the network's input [N, 4, H, W], its prediction [N, 3, H, W] and the decoder's features, coarse to fine,
    ``channels`` wide, each scale twice as fine as the one before, the finest H / ``fold`` high. How far a pixel lies
    inside its hole comes from the share of holes around it, in windows of several sizes: coarser features know it too,
    but only as well as their grid allows.
    """

    WIDTH = 16
    WINDOWS = (5, 11, 23)

    def __init__(self, channels: list[int], fold: int = 1) -> None:
        super().__init__()
        self.coarse = nn.ModuleList(nn.Conv2d(width, self.WIDTH, 1, bias=False) for width in channels[:-1])
        self.fine = folded_convolution(channels[-1], self.WIDTH)
        self.pixels = folded_convolution(4 + 3 + len(self.WINDOWS), self.WIDTH, fold)
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
        # detached: confidence is learned from what the network does, and must not shape what it paints
        *coarse, fine = (features.detach() for features in decoded)
        around = [share_around(inputs[:, 3:], size) for size in self.WINDOWS]
        seen = self.fine(fine) + self.pixels(torch.cat((inputs, prediction.detach(), *around), dim=1))
        # enlarged step by step and added on the way: enlarging each to the full size would cost three times as much
        hidden = self.coarse[0](coarse[0])
        for layer, features in zip(self.coarse[1:], coarse[1:], strict=True):
            hidden = _doubled(hidden) + layer(features)
        hidden = _doubled(hidden) + seen
        return self.output(hidden)


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear")


def share_around(mask: Tensor, size: int) -> Tensor:
    """The share of holes [N, 1, H, W] in the window of ``size`` pixels around each pixel, cut off at the edge."""
    # rows, then columns: the same mean with far fewer additions
    rows = F.avg_pool2d(mask, (size, 1), 1, (size // 2, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), 1, (0, size // 2), count_include_pad=False)
