"""A smooth first guess of what is missing, for networks to improve on."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 8
"""Of ever coarser grids: a hole of up to 256 pixels takes its colours from around it."""


def first_fill(inputs: Tensor, levels: int = LEVELS) -> Tensor:
    """Images [N, 3, H, W] with their holes filled by the means of what is known around them; known pixels as they are.

    ``inputs`` [N, 4, H, W] are images with holes set to 0, and masks (1 = hole); H and W are of any size. Pull and push
    (Gortler et al., The Lumigraph, 1996): known pixels are averaged to ever coarser grids, and each place without a
    known pixel takes the value that the next coarser grid has there, bilinearly. What none of ``levels`` grids knows
    gets the mean of the coarsest; of an image that is all hole every pixel is 0.
    """
    known = 1 - inputs[:, 3:]
    values = inputs[:, :3] * known
    grids = [(values, known)]
    for _ in range(levels):
        pooled = F.avg_pool2d(_even(torch.cat((values, known), dim=1)), 2)
        share = pooled[:, 3:]
        known = (share > 0).to(share.dtype)
        values = pooled[:, :3] / share.clamp(min=1e-6)
        grids.append((values, known))
    values, known = grids.pop()
    filled = values.mean(dim=(2, 3), keepdim=True) / known.mean(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    filled = values + (1 - known) * filled
    for values, known in reversed(grids):
        height, width = values.shape[2:]
        coarser = F.interpolate(filled, scale_factor=2.0, mode="bilinear")[..., :height, :width]
        filled = values + (1 - known) * coarser
    return filled


def _even(grid: Tensor) -> Tensor:
    """The grid with an unknown row below and column at the right where their number is odd."""
    height, width = grid.shape[2:]
    # in these words the exporter can prove that the result can be halved
    return F.pad(grid, (0, (width + 1) // 2 * 2 - width, 0, (height + 1) // 2 * 2 - height))
