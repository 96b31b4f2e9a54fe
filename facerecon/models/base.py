"""The interface of all model families."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RIGHT = 16
"""The largest error of a pixel, mean over RGB and of 255, that counts as right for the confidence."""


class Reconstruction(NamedTuple):
    """What a model returns.

    ``reconstruction`` [N, 3, H, W] in [-1, 1] is the composite; ``confidence_logits`` [N, 1, H, W] are log-odds
    that a hole pixel's error is at most RIGHT (meaningless outside holes), None for a model without that head;
    ``prediction`` [N, 3, H, W] in [-1, 1] is the network's output everywhere.
    """

    reconstruction: Tensor
    confidence_logits: Tensor | None
    prediction: Tensor

    def confidence(self, mask: Tensor) -> Tensor:
        """Probability [N, 1, H, W] that the error is at most RIGHT; 1 outside holes (mask 1 = hole)."""
        if self.confidence_logits is None:
            return torch.ones_like(mask)
        return torch.where(mask > 0.5, torch.sigmoid(self.confidence_logits), torch.ones_like(mask))


class ReconstructionModel(nn.Module):
    """Puts missing parts back. Subclasses implement ``predict``; hole removal and compositing are done here once.

    ``stride``: what ``predict`` takes is as high and as wide as a multiple of it; images may have any size.
    """

    stride: int = 1
    confidence_scale: Tensor
    confidence_shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        # what calibration after the training changes: the log-odds are scaled and shifted
        self.register_buffer("confidence_scale", torch.ones(()))
        self.register_buffer("confidence_shift", torch.zeros(()))

    @abstractmethod
    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """From what ``begin`` returned, enlarged to the stride, to prediction in [-1, 1] and confidence log-odds."""

    def begin(self, inputs: Tensor) -> Tensor:
        """What the network is given [N, 4, H, W], of images with holes set to 0 and masks, before they are enlarged.

        A family that fills the holes with a first guess does it here, where the image has its own size. Known pixels
        and masks stay as they are.
        """
        return inputs

    def learn(self, faces: Iterable[Tensor]) -> None:
        """Take from training faces, batches [N, 3, H, W] in [-1, 1], what is computed and not trained.

        Called once before the first step of a training; a family without such a part leaves it out.
        """

    def begin_step(self, progress: float) -> None:
        """Prepare for a training step at ``progress`` in [0, 1), the share of the training's work that is done.

        A family that does not change during the training leaves it out. The call alone must settle the state, whatever
        the steps before: a resumed training begins anywhere.
        """

    def attention_maps(self, inputs: Tensor) -> dict[str, Tensor]:
        """As ``attention``, from what ``predict`` takes; a family that has such maps implements this."""
        return {}

    def forward(self, image: Tensor, mask: Tensor) -> Reconstruction:
        """Reconstruct ``image`` [N, 3, H, W] in [-1, 1] where ``mask`` [N, 1, H, W] is 1 (hole; 0 = known).

        What stands in the image under the mask is removed by ``where`` and cannot reach the network, NaN included.
        """
        height, width = image.shape[2:]
        prediction, logits = self.predict(self._enlarged(self.begin(_visible(image, mask))))
        prediction = prediction[..., :height, :width]
        if logits is not None:
            logits = logits[..., :height, :width]
            logits = self.confidence_scale * logits + self.confidence_shift
        return Reconstruction(torch.where(mask > 0.5, prediction, image), logits, prediction)

    def attention(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Where the network looks while it reconstructs (see ``forward``): maps [N, 1, H, W] in [0, 1], coarse to fine.

        They are named by their scale before they were enlarged to the image, "1/16" to "1/1"; a family without
        attention has none.
        """
        height, width = image.shape[2:]
        maps = self.attention_maps(self._enlarged(self.begin(_visible(image, mask))))
        return {name: weights[..., :height, :width] for name, weights in maps.items()}

    def _enlarged(self, inputs: Tensor) -> Tensor:
        """What ``predict`` takes: the last column and row repeated up to the next multiple of the stride."""
        height, width = inputs.shape[2:]
        # in these words the exporter can prove that every level of a network halves evenly
        below = (height + self.stride - 1) // self.stride * self.stride - height
        right = (width + self.stride - 1) // self.stride * self.stride - width
        return F.pad(inputs, (0, right, 0, below), mode="replicate")


def _visible(image: Tensor, mask: Tensor) -> Tensor:
    """The image with its holes set to 0, and the mask: [N, 4, H, W]."""
    hole = mask > 0.5
    return torch.cat((torch.where(hole, torch.zeros_like(image), image), hole.to(image.dtype)), dim=1)
