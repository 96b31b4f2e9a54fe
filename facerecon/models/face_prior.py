"""What aligned faces have in common, computed rather than trained: a Gaussian over small faces.

Aligned faces resemble each other place by place. Their mean and their strongest common variations are found in closed
form from the training faces (probabilistic PCA, Tipping and Bishop, 1999); of a face with holes the Gaussian then says
what to expect in them, given what is seen. A network that starts there is spared learning it step by step.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.first_fill import first_fill

FACES_PER_COMPONENT = 8
"""A variation is kept for so many faces at least: of fewer the Gaussian would know its own faces by heart."""

LEAST_NOISE = 1e-4
"""Of a cell's variance, in [-1, 1]: without it faces that are all alike would leave none."""

TINY = 1e-20
"""Instead of 0, where something is divided by it."""

CORRECTED = 4
"""Levels of the fill by which known pixels correct the prior: 16 pixels into a hole it knows better."""


class FacePrior(nn.Module):
    """Images with their holes filled by what is to be expected of an aligned face that looks so elsewhere.

    The Gaussian is over ``grid`` x ``grid`` cells, to which images of any size are averaged, and has at most
    ``components`` variations. What to expect is approached in ``iterations`` steps of conjugate gradients: they are
    products of matrices, which every runtime has, and to stop early does for regularisation what noise does. Known
    pixels then correct it: how it misses them is continued some pixels into the holes. Before ``learn`` it expects
    nothing, and the correction is all there is.
    """

    mean: Tensor
    basis: Tensor
    noise: Tensor

    def __init__(self, grid: int, components: int, iterations: int) -> None:
        super().__init__()
        self.grid, self.iterations = grid, iterations
        self.register_buffer("mean", torch.zeros(3 * grid * grid))
        self.register_buffer("basis", torch.zeros(3 * grid * grid, components))
        self.register_buffer("noise", torch.ones(()))

    def learn(self, faces: Iterable[Tensor]) -> None:
        """Find the Gaussian of ``faces``, batches [N, 3, H, W] in [-1, 1], each as if seen in a mirror, too.

        Mirroring makes variations even or odd: the two kinds are found apart, each half as long.
        """
        half = self.grid // 2
        side = 3 * self.grid * half
        count = 0
        total = torch.zeros(side, dtype=torch.float64)
        products = [torch.zeros((side, side), dtype=torch.float64) for _ in range(2)]
        for batch in faces:
            cells = self._averaged(batch.double())
            left, right = cells[..., :half], cells[..., half:].flip(3)
            even, odd = ((part / 2**0.5).flatten(1) for part in (left + right, left - right))
            for product, part in zip(products, (even, odd), strict=True):
                product.addmm_(part.T, part)
            total += even.sum(0)
            count += len(batch)
        if not count:
            return
        # the mean of mirrored faces is even
        mean = total / count
        covariances = (products[0] / count - torch.outer(mean, mean), products[1] / count)
        kinds = [torch.linalg.eigh(covariance) for covariance in covariances]
        variances = torch.cat([found.eigenvalues for found in kinds])
        kept = min(self.basis.shape[1], max(1, count // FACES_PER_COMPONENT), len(variances) - 1)
        order = variances.argsort(descending=True)
        noise = variances[order[kept:]].mean().clamp(min=LEAST_NOISE)
        spread = torch.block_diag(*(found.eigenvectors for found in kinds))[:, order[:kept]]
        spread = spread * (variances[order[:kept]] - noise).clamp(min=0).sqrt()
        self.basis.zero_()
        self.basis[:, :kept] = self._whole(spread[:side].T, spread[side:].T).T
        self.mean.copy_(self._whole(mean[None], torch.zeros_like(mean)[None])[0])
        self.noise.copy_(noise)

    def _whole(self, even: Tensor, odd: Tensor) -> Tensor:
        """Left halves [N, 3 * grid * grid / 2] of an even and an odd part as the sum of both, whole, one row each."""
        even, odd = (part.unflatten(1, (3, self.grid, self.grid // 2)) / 2**0.5 for part in (even, odd))
        return torch.cat((even + odd, (even - odd).flip(3)), dim=3).flatten(1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Filled images [N, 3, H, W] in [-1, 1] of ``inputs`` [N, 4, H, W]: images with holes set to 0, and masks.

        H and W are of any size. Known pixels stay as they are.
        """
        if torch.is_autocast_enabled(inputs.device.type):
            # the steps need the digits that 16 bits lack
            with torch.autocast(inputs.device.type, enabled=False):
                return self.forward(inputs.float())
        seen, mask = inputs[:, :3], inputs[:, 3:]
        known = self._averaged(torch.cat((seen, 1 - mask), dim=1))
        share = known[:, 3:]
        expected = self._expected(known[:, :3] / share.clamp(min=1e-6), share)
        expected = F.interpolate(expected, size=seen.shape[2:], mode="bilinear")
        missed = torch.cat(((seen - expected) * (1 - mask), mask), dim=1)
        return torch.where(mask > 0.5, (expected + first_fill(missed, CORRECTED)).clamp(-1, 1), seen)

    def _expected(self, cells: Tensor, share: Tensor) -> Tensor:
        """The Gaussian's mean [N, 3, grid, grid], given ``cells`` of which ``share`` [N, 1, grid, grid] is known."""
        precision = (share / self.noise).expand_as(cells).flatten(1)
        wanted = (precision * (cells.flatten(1) - self.mean)) @ self.basis
        found, left, direction = torch.zeros_like(wanted), wanted, wanted
        length = left.square().sum(1, keepdim=True)
        ways: list[Tensor] = []
        for _ in range(self.iterations):
            ways.append((left * torch.rsqrt(length.clamp(min=TINY)))[:, None])
            moved = direction + (precision * (direction @ self.basis.T)) @ self.basis
            # 0 by 0 once nothing is left to improve
            step = length / (direction * moved).sum(1, keepdim=True).clamp(min=TINY)
            found, left = found + step * direction, left - step * moved
            # of what is left, nothing lies in the ways gone so far, but for rounding, which would grow manyfold at
            # each step: every machine would end up somewhere else
            gone = torch.cat(ways, dim=1)
            left = left - ((gone @ left[:, :, None]).transpose(1, 2) @ gone)[:, 0]
            before, length = length, left.square().sum(1, keepdim=True)
            direction = left + length / before.clamp(min=TINY) * direction
        return (self.mean + found @ self.basis.T).view_as(cells)

    def _averaged(self, images: Tensor) -> Tensor:
        """Means over the cells of the grid: [N, C, H, W] to [N, C, grid, grid], for any H and W."""
        rows, columns = (_shares(side, self.grid, images) for side in images.shape[2:])
        return rows @ images @ columns.T


def _shares(side: int, cells: int, like: Tensor) -> Tensor:
    """[cells, side]: what each of ``side`` pixels in a row counts for the mean over each of so many equal cells."""
    # counted in pixels times cells, so that all bounds are whole numbers
    pixels = torch.arange(side, device=like.device, dtype=like.dtype) * cells
    bounds = torch.arange(cells, device=like.device, dtype=like.dtype)[:, None] * side
    overlap = torch.minimum(bounds + side, pixels + cells) - torch.maximum(bounds, pixels)
    return overlap.clamp(min=0) / side
