"""SRVGGNetCompact of Real-ESRGAN (Wang et al., 2021): convolutions at the small size, enlarged by the last one.

Its residual is added to the bicubic enlargement, where the published one repeats pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.compact import CompactOptions
from facerecon.models.layers.confidence import ConfidenceHead
from facerecon.models.restoration import RestorationModel

HEAD_SCALE = 0.1
"""Of the image head's initial weights: an untrained network returns nearly the enlarged input."""

PRELU_SLOPE = 0.25
"""Initial slope of the activations where they are negative."""


class Compact(RestorationModel):
    """The network; see ``CompactOptions``."""

    def __init__(self, options: CompactOptions) -> None:
        super().__init__(options.scale)
        width = options.features
        layers: list[nn.Module] = []
        for inputs in (3, *[width] * options.depth):
            convolution = nn.Conv2d(inputs, width, 3, padding=1)
            # keeps the scale of the features, which nothing normalises
            nn.init.kaiming_normal_(convolution.weight, a=PRELU_SLOPE)
            layers += [convolution, nn.PReLU(width, PRELU_SLOPE)]
        self.body = nn.Sequential(*layers)
        self.image_head = nn.Conv2d(width, 3 * options.scale**2, 3, padding=1)
        with torch.no_grad():
            for value in self.image_head.parameters():
                value.mul_(HEAD_SCALE)
        self.confidence_head = ConfidenceHead([width], options.scale, masked=False) if options.confidence else None

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.body(image)
        residual = F.pixel_shuffle(self.image_head(features), self.scale)
        if self.confidence_head is None:
            return residual, None
        start = self.enlarge(image)
        return residual, self.confidence_head(start, start + residual, [features])
