"""What aligned faces have in common, computed rather than trained: a Gaussian over small faces.

Aligned faces resemble each other place by place. Their mean and their strongest common variations are found in closed
form from the training faces (probabilistic PCA, Tipping and Bishop, 1999); of a face with holes the Gaussian then says
what to expect in them, given what is seen. A network that starts there is spared learning it step by step.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from facerecon.models.layers.first_fill import first_fill

FACES_PER_COMPONENT = 8
"""A variation is kept for so many faces at least: of fewer the Gaussian would know its own faces by heart."""

LEAST_NOISE = 1e-4
"""Of a cell's variance, in [-1, 1]: without it faces that are all alike would leave none."""

TINY = 1e-20
"""Instead of 0, where something is divided by it."""

CORRECTED = 4
"""Levels of the fill by which known pixels correct the prior: 16 pixels into a hole it knows better."""

COLOUR_SHARE = 0.4
"""Of the variations of brightness, as many for colour: it varies less, and in coarser places."""

OPPONENTS = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
"""From RGB to brightness and two colours, red against blue and both against green: a rotation."""


class Variations(nn.Module):
    """A Gaussian over ``grid`` x ``grid`` cells of ``channels`` values: a mean, variations, and the noise that is left.

    Of at most ``components`` variations, half are even, the same on both sides of the face, and half odd. Products with
    an even and an odd part, each half a face long, cost half as much as with whole faces.
    """

    mean: Tensor
    even: Tensor
    odd: Tensor
    noise: Tensor

    def __init__(self, channels: int, grid: int, components: int) -> None:
        super().__init__()
        self.channels, self.grid, self.components = channels, grid, components
        self.register_buffer("mean", torch.zeros(channels, grid, grid))
        # [place in the left half, variation]
        for kind in ("even", "odd"):
            self.register_buffer(kind, torch.zeros(channels * grid * grid // 2, (components + 1) // 2))
        self.register_buffer("noise", torch.ones(()))

    def sides(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Cells [N, C, grid, grid] as left and, mirrored, right sides [N, C * grid * grid / 2]."""
        half = self.grid // 2
        return cells[..., :half].flatten(1), cells[..., half:].flip(3).flatten(1)

    def parts(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Cells [N, C, grid, grid] as their even and odd parts, of each its left half [N, C * grid * grid / 2]."""
        left, right = self.sides(cells)
        return (left + right) / 2**0.5, (left - right) / 2**0.5

    def whole(self, even: Tensor, odd: Tensor) -> Tensor:
        """What ``parts`` took apart."""
        shape = (-1, self.channels, self.grid, self.grid // 2)
        left, right = ((even + odd) / 2**0.5).view(shape), ((even - odd) / 2**0.5).view(shape)
        return torch.cat((left, right.flip(3)), dim=3)

    def averaged(self, images: Tensor) -> Tensor:
        """Means over the cells of the grid: [N, C, H, W] to [N, C, grid, grid], for any H and W."""
        rows, columns = (_shares(side, self.grid, images) for side in images.shape[2:])
        return rows @ images @ columns.T


class Moments:
    """Sums over faces, of which the variations are found; mirroring makes these even or odd, and each half as long."""

    def __init__(self, variations: Variations) -> None:
        side = len(variations.even)
        self.variations, self.count = variations, 0
        self.total = torch.zeros(side, dtype=torch.float64)
        self.products = torch.zeros((2, side, side), dtype=torch.float64)

    def add(self, images: Tensor) -> None:
        """Count images [N, C, H, W], float64, each as if seen in a mirror, too."""
        parts = self.variations.parts(self.variations.averaged(images))
        for products, part in zip(self.products, parts, strict=True):
            products.addmm_(part.T, part)
        self.total += parts[0].sum(0)
        self.count += len(images)

    def settle(self) -> None:
        """Find the Gaussian of what was counted."""
        variations, side = self.variations, len(self.total)
        # the mean of mirrored faces is even
        mean = torch.stack((self.total / self.count, torch.zeros_like(self.total)))
        found = torch.linalg.eigh(self.products / self.count - mean[:, :, None] * mean[:, None])
        variances, ways = found.eigenvalues.flip(1), found.eigenvectors.flip(2)
        kept = min(variations.components, max(1, self.count // FACES_PER_COMPONENT), 2 * side - 1)
        numbers = ((kept + 1) // 2, kept // 2)
        rest = torch.cat([left[number:] for left, number in zip(variances, numbers, strict=True)]).clamp(min=0)
        # what is left is alike in neighbouring cells, so that as many of them tell less than if it were not: not its
        # mean variance counts but that in the ways which it goes
        noise = (rest.square().sum() / rest.sum().clamp(min=TINY)).clamp(min=LEAST_NOISE)
        for kind, number, each, way in zip((variations.even, variations.odd), numbers, variances, ways, strict=True):
            kind.zero_()
            kind[:, :number] = way[:, :number] * (each[:number] - noise).clamp(min=0).sqrt()
        variations.mean.copy_(variations.whole(*mean)[0])
        variations.noise.copy_(noise)


class FacePrior(nn.Module):
    """Images with their holes filled by what is to be expected of an aligned face that looks so elsewhere.

    Brightness, over ``grid`` x ``grid`` cells to which images of any size are averaged, has at most ``components``
    variations; colour has fewer, over half the grid: what one tells of the other is little, and apart they cost less
    than half as much. What to expect is approached in ``iterations`` steps of conjugate gradients: they are products of
    matrices, which every runtime has, and to stop early does for regularisation what noise does. Known pixels then
    correct it: how it misses them is continued some pixels into the holes. Before ``learn`` it expects nothing, and the
    correction is all there is.
    """

    def __init__(self, grid: int, components: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.brightness = Variations(1, grid, components)
        self.colour = Variations(2, grid // 2, max(1, round(COLOUR_SHARE * components)))

    def learn(self, faces: Iterable[Tensor]) -> None:
        """Find the Gaussians of ``faces``, batches [N, 3, H, W] in [-1, 1], each as if seen in a mirror, too."""
        moments = [Moments(self.brightness), Moments(self.colour)]
        for batch in faces:
            for each, channels in zip(moments, _opponents(batch.double()).split((1, 2), dim=1), strict=True):
                each.add(channels)
        for each in moments:
            if each.count:
                each.settle()

    def forward(self, inputs: Tensor) -> Tensor:
        """Filled images [N, 3, H, W] in [-1, 1] of ``inputs`` [N, 4, H, W]: images with holes set to 0, and masks.

        H and W are of any size. Known pixels stay as they are.
        """
        if torch.is_autocast_enabled(inputs.device.type):
            # the steps need the digits that 16 bits lack
            with torch.autocast(inputs.device.type, enabled=False):
                return self.forward(inputs.float())
        seen, mask = inputs[:, :3], inputs[:, 3:]
        expected = _opponents(self._expected(_opponents(seen), 1 - mask), back=True)
        missed = torch.cat(((seen - expected) * (1 - mask), mask), dim=1)
        return torch.where(mask > 0.5, (expected + first_fill(missed, CORRECTED)).clamp(-1, 1), seen)

    def _expected(self, seen: Tensor, known: Tensor) -> Tensor:
        """The Gaussians' means [N, 3, H, W], given ``seen`` [N, 3, H, W], 0 where ``known`` [N, 1, H, W] is 0."""
        gaussians = (self.brightness, self.colour)
        bases = [kind for gaussian in gaussians for kind in (gaussian.even, gaussian.odd)]
        parts: list[Tensor] = []
        same: list[Tensor] = []
        differ: list[Tensor] = []
        for gaussian, channels in zip(gaussians, seen.split((1, 2), dim=1), strict=True):
            cells = gaussian.averaged(torch.cat((channels, known), dim=1))
            share = cells[:, -1:]
            parts += gaussian.parts((cells[:, :-1] - share * gaussian.mean) / gaussian.noise)
            left, right = gaussian.sides((share / gaussian.noise).expand(-1, gaussian.channels, -1, -1))
            same += 2 * [(left + right) / 2]
            differ += 2 * [(left - right) / 2]
        weights, crossed_weights = torch.cat(same, dim=1), torch.cat(differ, dim=1)
        numbers, places = [basis.shape[1] for basis in bases], [len(basis) for basis in bases]

        def moved(amounts: Tensor) -> Tensor:
            shown = [each @ basis.T for each, basis in zip(amounts.split(numbers, dim=1), bases, strict=True)]
            # where one side is better known than the other, an even part is seen in an odd one
            crossed = [shown[kind] for kind in (1, 0, 3, 2)]
            weighed = weights * torch.cat(shown, dim=1) + crossed_weights * torch.cat(crossed, dim=1)
            returned = [each @ basis for each, basis in zip(weighed.split(places, dim=1), bases, strict=True)]
            return amounts + torch.cat(returned, dim=1)

        wanted = torch.cat([part @ basis for part, basis in zip(parts, bases, strict=True)], dim=1)
        found = _solved(moved, wanted, self.iterations).split(numbers, dim=1)
        sums = [amounts @ basis.T for amounts, basis in zip(found, bases, strict=True)]
        height, width = seen.shape[2:]
        drawn = [
            _drawn(gaussian.mean + gaussian.whole(*kinds), height, width)
            for gaussian, kinds in zip(gaussians, (sums[:2], sums[2:]), strict=True)
        ]
        return torch.cat(drawn, dim=1)


def _solved(moved: Callable[[Tensor], Tensor], wanted: Tensor, iterations: int) -> Tensor:
    """Of what ``moved``, a symmetric positive matrix, makes ``wanted`` [N, K], by so many conjugate gradients."""
    found, left, direction = torch.zeros_like(wanted), wanted, wanted
    length = _length(left)
    ways: list[Tensor] = []
    for _ in range(iterations):
        ways.append((left / length.sqrt())[:, None])
        product = moved(direction)
        # 0 by next to nothing once nothing is left to improve
        step = length / (direction * product).sum(1, keepdim=True).clamp(min=TINY)
        found, left = found + step * direction, left - step * product
        # of what is left, nothing lies in the ways gone so far, but for rounding, which would grow manyfold at
        # each step: every machine would end up somewhere else
        gone = torch.cat(ways, dim=1)
        left = left - (left[:, None] @ gone.transpose(1, 2) @ gone)[:, 0]
        before, length = length, _length(left)
        direction = left + length / before * direction
    return found


def _length(vectors: Tensor) -> Tensor:
    """Squared lengths [N, 1] of vectors [N, K], TINY at least."""
    return vectors.square().sum(1, keepdim=True).clamp(min=TINY)


def _opponents(images: Tensor, back: bool = False) -> Tensor:
    """RGB [N, 3, H, W] as brightness and two colours, or ``back``."""
    mixed = images.new_tensor(OPPONENTS)
    return ((mixed.T if back else mixed) @ images.flatten(2)).view_as(images)


def _shares(side: int, cells: int, like: Tensor) -> Tensor:
    """[cells, side]: what each of ``side`` pixels in a row counts for the mean over each of so many equal cells."""
    # counted in pixels times cells, so that all bounds are whole numbers
    pixels = torch.arange(side, device=like.device, dtype=like.dtype) * cells
    bounds = torch.arange(cells, device=like.device, dtype=like.dtype)[:, None] * side
    overlap = torch.minimum(bounds + side, pixels + cells) - torch.maximum(bounds, pixels)
    return overlap.clamp(min=0) / side


def _drawn(cells: Tensor, height: int, width: int) -> Tensor:
    """Cells [N, C, grid, grid] drawn as images [N, C, height, width]."""
    rows, columns = (_weights(side, cells.shape[3], cells) for side in (height, width))
    return rows @ cells @ columns.T


def _weights(side: int, cells: int, like: Tensor) -> Tensor:
    """[side, cells]: what each cell of a row counts for each pixel, by cubic convolution (Keys, 1981)."""
    pixels = (torch.arange(side, device=like.device, dtype=like.dtype)[:, None] + 0.5) * cells / side - 0.5
    away = (pixels - torch.arange(cells, device=like.device, dtype=like.dtype)).abs()
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((2.5 - 0.5 * away) * away - 4) * away + 2
    weights = torch.where(away < 1, near, torch.where(away < 2, far, 0.0))
    return weights / weights.sum(1, keepdim=True)
