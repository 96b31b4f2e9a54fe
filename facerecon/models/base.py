"""The interface of all model families."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Reconstruction(NamedTuple):
    """What a model returns.

    ``reconstruction`` [N, 3, H, W] in [-1, 1] is the composite; ``confidence_logits`` [N, 1, H, W] are log-odds
    that a hole pixel's error is at most 16/255 (meaningless outside holes), None for a model without that head;
    ``prediction`` [N, 3, H, W] in [-1, 1] is the network's output everywhere.
    """

    reconstruction: Tensor
    confidence_logits: Tensor | None
    prediction: Tensor

    def confidence(self, mask: Tensor) -> Tensor:
        """Probability [N, 1, H, W] that the error is at most 16/255; 1 outside holes (mask 1 = hole)."""
        if self.confidence_logits is None:
            return torch.ones_like(mask)
        return torch.where(mask > 0.5, torch.sigmoid(self.confidence_logits), torch.ones_like(mask))


class ReconstructionModel(nn.Module):
    """Puts missing parts back. Subclasses implement ``predict``; hole removal and compositing are done here once.

    ``stride``: height and width must be multiples of it.
    """

    stride: int = 1

    @abstractmethod
    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """From [N, 4, H, W] (image with holes set to 0, mask) to prediction in [-1, 1] and confidence log-odds."""

    def forward(self, image: Tensor, mask: Tensor) -> Reconstruction:
        """Reconstruct ``image`` [N, 3, H, W] in [-1, 1] where ``mask`` [N, 1, H, W] is 1 (hole; 0 = known).

        What stands in the image under the mask is removed by ``where`` and cannot reach the network, NaN included.
        """
        hole = mask > 0.5
        visible = torch.where(hole, torch.zeros_like(image), image)
        prediction, logits = self.predict(torch.cat((visible, hole.to(image.dtype)), dim=1))
        return Reconstruction(torch.where(hole, prediction, image), logits, prediction)
