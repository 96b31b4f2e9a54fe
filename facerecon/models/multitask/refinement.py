"""Offsets of the 68 points from the features at them: a graph network on the points, or a perceptron for each.

The graph network is that of Kipf and Welling (2017): each layer's inputs are means over a point and its neighbours,
weighted by a fixed adjacency with self-loops, normalised symmetrically.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.landmarks import POINTS

STEPS = 2
"""So often the points are moved, each time by weights of their own: features are looked up anew where they are then."""

OFFSET_SCALE = 0.02
"""Of the last layer's initial weights: an untrained refinement leaves the points nearly where they are."""

CHAINS = (range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36))
"""Points that follow one another: jaw, brows, the nose's bridge and base."""

LOOPS = (range(36, 42), range(42, 48), range(48, 60), range(60, 68))
"""Points that follow one another round: eyes, outer and inner lips."""

LINKS = (
    *((0, 17), (16, 26)),  # the jaw's ends to the brows
    *((21, 27), (22, 27), (39, 27), (42, 27)),  # brows and eyes to the bridge
    *((17, 36), (26, 45)),  # brows to the eyes' outer corners
    *((30, 33), (33, 51)),  # the nose's tip to its base, that to the upper lip
    *((48, 60), (51, 62), (54, 64), (57, 66)),  # outer to inner lips
    (57, 8),  # the lower lip to the chin
)
"""What joins these parts to one face."""


def edges() -> Iterator[tuple[int, int]]:
    """The pairs of neighbours, each once."""
    for chain in CHAINS:
        yield from pairwise(chain)
    for loop in LOOPS:
        yield from pairwise((*loop, loop[0]))
    yield from LINKS


def adjacency() -> Tensor:
    """The adjacency [68, 68] with self-loops, normalised: D^-1/2 (A + I) D^-1/2."""
    joined = torch.eye(POINTS)
    for first, second in edges():
        joined[first, second] = joined[second, first] = 1
    scale = joined.sum(dim=1).rsqrt()
    return scale[:, None] * joined * scale


class Refinement(nn.Module):
    """Moves points STEPS times; without ``neighbours`` each by what is seen at it alone, by as many weights."""

    neighbours: Tensor | None

    def __init__(self, channels: int, neighbours: bool) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_Step(channels) for _ in range(STEPS))
        self.register_buffer("neighbours", adjacency() if neighbours else None, persistent=False)

    def forward(self, features: Tensor, points: Tensor) -> Tensor:
        """Points [N, 68, 3] in shares of the image's side, moved by ``features`` [N, channels, H, W] of it."""
        for step in self.steps:
            # where a feature is looked up is no path to learn by: the points learn by what is added to them
            places = points.detach().float()
            points = points + step(torch.cat([_at(features, places), places], dim=2), self.neighbours)
        return points


class _Step(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.which = nn.Parameter(torch.zeros(POINTS, channels))
        self.first = nn.Linear(channels + 3, channels)
        self.second = nn.Linear(channels, channels)
        self.offsets = nn.Linear(channels, 3)
        with torch.no_grad():
            for value in self.offsets.parameters():
                value.mul_(OFFSET_SCALE)

    def forward(self, seen: Tensor, neighbours: Tensor | None) -> Tensor:
        """Offsets [N, 68, 3] from what is ``seen`` [N, 68, channels + 3] at the points."""
        hidden = F.relu(_mixed(self.first(seen), neighbours) + self.which)
        # added: a mean over neighbours alone would blur which point it is
        hidden = hidden + F.relu(_mixed(self.second(hidden), neighbours))
        offsets: Tensor = self.offsets(hidden)
        return offsets


def _mixed(hidden: Tensor, neighbours: Tensor | None) -> Tensor:
    return hidden if neighbours is None else neighbours @ hidden


def _at(features: Tensor, places: Tensor) -> Tensor:
    """Features [N, 68, C] at ``places`` [N, 68, >=2] in shares of the image's side, interpolated between cells."""
    grid = 2 * places[:, None, :, :2] - 1
    sampled = F.grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)
