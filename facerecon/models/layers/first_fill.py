"""A smooth fill of holes by pull and push, for networks to improve on."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 8
"""Of the pyramid: a hole of up to 256 pixels is filled from its surroundings."""


def first_fill(inputs: Tensor, levels: int = LEVELS) -> Tensor:
    """Images [N, 3, H, W] with their holes filled by local means; known pixels stay as they are.

    ``inputs`` [N, 4, H, W] are images with holes set to 0, and masks (1 = hole); H and W are of any size. Pull and push
    (Gortler et al., The Lumigraph, 1996): known pixels are averaged down a pyramid of ``levels`` levels; on the way
    back, each pixel that is unknown at its level takes the bilinearly upsampled value of the coarser one. Pixels that
    are unknown at all levels take the mean of the coarsest; an image that is all hole becomes 0.
    """
    known = 1 - inputs[:, 3:]
    values = inputs[:, :3] * known
    pyramid = [(values, known)]
    for _ in range(levels):
        pooled = F.avg_pool2d(_pad_to_even(torch.cat((values, known), dim=1)), 2)
        share = pooled[:, 3:]
        known = (share > 0).to(share.dtype)
        values = pooled[:, :3] / share.clamp(min=1e-6)
        pyramid.append((values, known))
    values, known = pyramid.pop()
    filled = values.mean(dim=(2, 3), keepdim=True) / known.mean(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    filled = values + (1 - known) * filled
    for values, known in reversed(pyramid):
        height, width = values.shape[2:]
        coarser = F.interpolate(filled, scale_factor=2.0, mode="bilinear")[..., :height, :width]
        filled = values + (1 - known) * coarser
    return filled


def _pad_to_even(grid: Tensor) -> Tensor:
    """Pad an odd number of rows or columns with unknown pixels below or at the right."""
    height, width = grid.shape[2:]
    # written so that the exporter can prove that the result halves evenly
    return F.pad(grid, (0, (width + 1) // 2 * 2 - width, 0, (height + 1) // 2 * 2 - height))
