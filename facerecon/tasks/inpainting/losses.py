"""The composite loss: pixels everywhere, pixels in the hole, perceptual distance, identity, confidence."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.base import Reconstruction, confidence_target
from facerecon.perception.identity import load_teacher
from facerecon.perception.lpips import LPIPS
from facerecon.tasks.inpainting.dataset import Batch
from facerecon.tasks.inpainting.training_settings import LossSettings


class LossTerms(NamedTuple):
    """The loss to minimise and its unweighted terms by name."""

    total: Tensor
    terms: dict[str, Tensor]


def hole_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error [N] over each image's hole (mask 1 = hole); images [N, 3, H, W] in [-1, 1]."""
    error = torch.where(mask > 0.5, (prediction - target).abs(), torch.zeros_like(target))
    area = (mask > 0.5).sum(dim=(1, 2, 3)).clamp(min=1)
    return error.sum(dim=(1, 2, 3)) / (area * target.shape[1])


class ReconstructionLoss(nn.Module):
    """Weighted sum of the terms that the settings switch on; terms of weight 0 are neither loaded nor computed.

    L1 over all pixels is taken on the network's raw prediction (so that known pixels teach it too), the others on
    the composite. The hole term is normalised by the hole's area. A term of interval k is applied on steps divisible
    by k, with k times its weight. ``coarse`` batches, of half the size, teach no identity: so small a face has little
    of it, and the network that looks at it costs as much as for a large one.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        self.lpips = LPIPS(settings.perceptual_backbone) if settings.perceptual else None
        self.identity = load_teacher(settings.identity_network) if settings.identity else None

    def forward(self, output: Reconstruction, batch: Batch, step: int, coarse: bool = False) -> LossTerms:
        weights, hole = self.settings, batch.mask > 0.5
        terms = {
            "l1": F.l1_loss(output.prediction, batch.image),
            "hole": hole_l1(output.reconstruction, batch.image, batch.mask).mean(),
        }
        total = weights.l1 * terms["l1"] + weights.hole * terms["hole"]
        if self.lpips is not None and step % weights.perceptual_interval == 0:
            with torch.no_grad():
                wanted = self.lpips.features(batch.image)
            shown = self.lpips.features(output.reconstruction)
            terms["perceptual"] = self.lpips.distance(shown, wanted).mean()
            total = total + weights.perceptual * weights.perceptual_interval * terms["perceptual"]
        if self.identity is not None and not coarse and step % weights.identity_interval == 0:
            with torch.no_grad():
                person = self.identity.embed(batch.image, batch.points)
            cosine = (self.identity.embed(output.reconstruction, batch.points) * person).sum(dim=1)
            terms["identity"] = (1 - cosine).mean()
            total = total + weights.identity * weights.identity_interval * terms["identity"]
        if output.confidence_logits is not None and weights.confidence:
            right = confidence_target(output.reconstruction, batch.image)
            logits = output.confidence_logits[hole]
            summed = F.binary_cross_entropy_with_logits(logits, right[hole], reduction="sum")
            terms["confidence"] = summed / max(1, logits.numel())
            total = total + weights.confidence * terms["confidence"]
        return LossTerms(total, {name: value.detach() for name, value in terms.items()})
