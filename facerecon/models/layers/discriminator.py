"""A discriminator at two scales: the whole crop, and its patches (Kupyn et al., DeblurGAN-v2, 2019)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from facerecon.models.layers.blocks import normalisation

DiscriminatorNorm = Literal["batch", "instance", "none"]

WIDEST = 8
"""No layer has more than so many times the first one's channels."""

SMALLEST = 4
"""Side in pixels at which the whole crop's branch ends."""


class Verdicts(NamedTuple):
    """Logits that images are real: ``whole`` [N, 1], ``patch`` [N, 1, h, w]."""

    whole: Tensor
    patch: Tensor


class Discriminator(nn.Module):
    """Says of crops [N, 3, size, size] in [-1, 1] how real they look, as a whole and patch by patch.

    Each branch halves the crop by 4x4 convolutions with leaky ReLU, the first one without normalisation: that of
    patches ``patch_depth`` times (each logit sees a square of 22 pixels after two, 46 after three), that of the whole
    down to SMALLEST pixels. ``wins`` counts the steps in a row in which it had won; it is a buffer so that it is saved.
    """

    wins: Tensor

    def __init__(
        self, size: int, width: int, whole_norm: DiscriminatorNorm, patch_norm: DiscriminatorNorm, patch_depth: int = 2
    ) -> None:
        super().__init__()
        depth = max(1, (size // SMALLEST).bit_length() - 1)
        self.whole = nn.Sequential(*_halvings(width, depth, whole_norm), nn.AdaptiveAvgPool2d(SMALLEST))
        self.score = nn.Linear(_channels(width, depth) * SMALLEST**2, 1)
        self.patch = nn.Sequential(
            *_halvings(width, patch_depth, patch_norm), nn.Conv2d(_channels(width, patch_depth), 1, 4, padding=1)
        )
        self.register_buffer("wins", torch.zeros((), dtype=torch.int64))

    def forward(self, image: Tensor) -> Verdicts:
        return Verdicts(self.score(self.whole(image).flatten(1)), self.patch(image))


def _channels(width: int, depth: int) -> int:
    return width * min(2 ** (depth - 1), WIDEST)


def _halvings(width: int, depth: int, norm: DiscriminatorNorm) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for level in range(depth):
        inputs, outputs = 3 if level == 0 else _channels(width, level), _channels(width, level + 1)
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
        if level > 0 and norm != "none":
            layers.append(normalisation(norm, outputs))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return layers
