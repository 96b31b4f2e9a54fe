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
    ``components`` variations: the strongest even ones (the same on both sides of the face) and as many odd ones. On
    even and odd parts, each half a face long, products with them cost half as much as on whole faces. What to expect is
    approached in ``iterations`` steps of conjugate gradients: they are products of matrices, which every runtime has,
    and to stop early does for regularisation what noise does. Known pixels then correct it: how it misses them is
    continued some pixels into the holes. Before ``learn`` it expects nothing, and the correction is all there is.
    """

    mean: Tensor
    basis: Tensor
    noise: Tensor

    def __init__(self, grid: int, components: int, iterations: int) -> None:
        super().__init__()
        self.grid, self.components, self.iterations = grid, components, iterations
        self.register_buffer("mean", torch.zeros(3 * grid * grid))
        # [even or odd, place in the left half, variation]
        self.register_buffer("basis", torch.zeros(2, 3 * grid * grid // 2, (components + 1) // 2))
        self.register_buffer("noise", torch.ones(()))

    def learn(self, faces: Iterable[Tensor]) -> None:
        """Find the Gaussian of ``faces``, batches [N, 3, H, W] in [-1, 1], each as if seen in a mirror, too.

        Mirroring makes variations even or odd: the two kinds are found apart, each half as long.
        """
        side = self.basis.shape[1]
        count = 0
        total = torch.zeros(side, dtype=torch.float64)
        products = torch.zeros((2, side, side), dtype=torch.float64)
        for batch in faces:
            parts = self._parts(self._averaged(batch.double()))
            products.baddbmm_(parts.transpose(1, 2), parts)
            total += parts[0].sum(0)
            count += len(batch)
        if not count:
            return
        # the mean of mirrored faces is even
        mean = torch.stack((total / count, torch.zeros_like(total)))
        found = torch.linalg.eigh(products / count - mean[:, :, None] * mean[:, None])
        variances, ways = found.eigenvalues.flip(1), found.eigenvectors.flip(2)
        kept = min(self.components, max(1, count // FACES_PER_COMPONENT), 2 * side - 1)
        chosen = ((kept + 1) // 2, kept // 2)
        rest = torch.cat([variances[kind, chosen[kind] :] for kind in range(2)])
        noise = rest.mean().clamp(min=LEAST_NOISE)
        self.basis.zero_()
        for kind, number in enumerate(chosen):
            spread = (variances[kind, :number] - noise).clamp(min=0).sqrt()
            self.basis[kind, :, :number] = ways[kind, :, :number] * spread
        self.mean.copy_(self._whole(mean[:, None]).flatten())
        self.noise.copy_(noise)

    def _parts(self, cells: Tensor) -> Tensor:
        """Cells [N, 3, grid, grid] as the left halves [2, N, 3 * grid * grid / 2] of their even and odd parts."""
        half = self.grid // 2
        return _swapped(torch.stack((cells[..., :half], cells[..., half:].flip(3))).flatten(2))

    def _whole(self, parts: Tensor) -> Tensor:
        """What ``_parts`` took apart."""
        left, right = _swapped(parts).unflatten(2, (3, self.grid, self.grid // 2))
        return torch.cat((left, right.flip(3)), dim=3)

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
        precision = share / self.noise
        wanted = self._to_variations(self._parts(precision * (cells - self.mean.view_as(cells[0]))))
        # of each side of the face, the right one mirrored
        half = self.grid // 2
        sides = torch.stack((precision[..., :half], precision[..., half:].flip(3)))
        sides = sides.expand(-1, -1, 3, -1, -1).flatten(2)
        found, left, direction = torch.zeros_like(wanted), wanted, wanted
        length = left.square().sum(1, keepdim=True)
        ways: list[Tensor] = []
        for _ in range(self.iterations):
            ways.append((left * torch.rsqrt(length.clamp(min=TINY)))[:, None])
            weighted = sides * _swapped(self._from_variations(direction))
            moved = direction + self._to_variations(_swapped(weighted))
            # 0 by 0 once nothing is left to improve
            step = length / (direction * moved).sum(1, keepdim=True).clamp(min=TINY)
            found, left = found + step * direction, left - step * moved
            # of what is left, nothing lies in the ways gone so far, but for rounding, which would grow manyfold at
            # each step: every machine would end up somewhere else
            gone = torch.cat(ways, dim=1)
            left = left - ((gone @ left[:, :, None]).transpose(1, 2) @ gone)[:, 0]
            before, length = length, left.square().sum(1, keepdim=True)
            direction = left + length / before.clamp(min=TINY) * direction
        return self.mean.view_as(cells[0]) + self._whole(self._from_variations(found))

    def _to_variations(self, parts: Tensor) -> Tensor:
        """Parts [2, N, places] times the variations: [N, variations], the even ones first."""
        return (parts @ self.basis).transpose(0, 1).flatten(1)

    def _from_variations(self, amounts: Tensor) -> Tensor:
        """The sum of the variations, each so many times: [N, variations] to parts [2, N, places]."""
        return amounts.unflatten(1, (2, -1)).transpose(0, 1) @ self.basis.transpose(1, 2)

    def _averaged(self, images: Tensor) -> Tensor:
        """Means over the cells of the grid: [N, C, H, W] to [N, C, grid, grid], for any H and W."""
        rows, columns = (_shares(side, self.grid, images) for side in images.shape[2:])
        return rows @ images @ columns.T


def _swapped(halves: Tensor) -> Tensor:
    """The even and the odd part [2, ...] of a left and a right side, or the other way round, by the same formula."""
    one, other = halves
    return torch.stack((one + other, one - other)) / 2**0.5


def _shares(side: int, cells: int, like: Tensor) -> Tensor:
    """[cells, side]: what each of ``side`` pixels in a row counts for the mean over each of so many equal cells."""
    # counted in pixels times cells, so that all bounds are whole numbers
    pixels = torch.arange(side, device=like.device, dtype=like.dtype) * cells
    bounds = torch.arange(cells, device=like.device, dtype=like.dtype)[:, None] * side
    overlap = torch.minimum(bounds + side, pixels + cells) - torch.maximum(bounds, pixels)
    return overlap.clamp(min=0) / side
