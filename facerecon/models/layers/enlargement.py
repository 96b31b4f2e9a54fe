"""Bicubic enlargement as a convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH = 2
"""How many pixels away the cubic kernel looks."""


class BicubicEnlargement(nn.Module):
    """[N, C, H, W] to [N, C, scale * H, scale * W], as ``F.interpolate`` with mode "bicubic".

    Each pixel of the result is a weighted sum of the 5x5 pixels around its place. As a convolution that takes ONNX
    Runtime a small part of the time of its own resizing.
    """

    weight: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, side = scale, 2 * REACH + 1
        # what one pixel adds to each place, read off an image in which only that pixel is 1, far from the edge
        one = torch.zeros(1, 1, 3 * side, 3 * side)
        middle = 3 * side // 2
        one[..., middle, middle] = 1
        spread = F.interpolate(one, scale_factor=float(scale), mode="bicubic").view(3 * side, scale, 3 * side, scale)
        around = slice(middle - REACH, middle + REACH + 1)
        # [place below, place to the right, 1, rows, columns]: the pixel lies above where the result lies below it
        weight = spread[around, :, around].flip((0, 2)).permute(1, 3, 0, 2).reshape(scale**2, 1, side, side)
        self.register_buffer("weight", weight.contiguous(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge ``image``; in float32 under autocast, too: the result is what a residual is added to."""
        if torch.is_autocast_enabled(image.device.type):
            with torch.autocast(image.device.type, enabled=False):
                return self._enlarged(image.float())
        return self._enlarged(image)

    def _enlarged(self, image: Tensor) -> Tensor:
        channels = image.shape[1]
        # at the edge F.interpolate repeats the last pixel, too
        padded = F.pad(image, (REACH,) * 4, mode="replicate")
        weight = self.weight.repeat(channels, 1, 1, 1)
        return F.pixel_shuffle(F.conv2d(padded, weight, groups=channels), self.scale)
