"""The loss of restoration: pixels, perceptual distance, identity, confidence."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.base import confidence_target
from facerecon.models.restoration import Restoration
from facerecon.perception.identity import load_teacher
from facerecon.perception.lpips import LPIPS
from facerecon.tasks.restoration.dataset import Batch
from facerecon.tasks.restoration.training_settings import LossSettings


class LossTerms(NamedTuple):
    """The loss to minimise and its unweighted terms by name."""

    total: Tensor
    terms: dict[str, Tensor]


class RestorationLoss(nn.Module):
    """Weighted sum of the terms that the settings switch on; terms of weight 0 are neither loaded nor computed.

    A term of interval k is applied on steps divisible by k, with k times its weight.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        self.lpips = LPIPS(settings.perceptual_backbone) if settings.perceptual else None
        self.identity = load_teacher(settings.identity_network) if settings.identity else None

    def forward(self, output: Restoration, batch: Batch, step: int) -> LossTerms:
        weights, restored = self.settings, output.restoration
        terms = {"l1": F.l1_loss(restored, batch.image)}
        total = weights.l1 * terms["l1"]
        if self.lpips is not None and step % weights.perceptual_interval == 0:
            with torch.no_grad():
                wanted = self.lpips.features(batch.image)
            terms["perceptual"] = self.lpips.distance(self.lpips.features(restored), wanted).mean()
            total = total + weights.perceptual * weights.perceptual_interval * terms["perceptual"]
        if self.identity is not None and step % weights.identity_interval == 0:
            with torch.no_grad():
                person = self.identity.embed(batch.image, batch.points)
            cosine = (self.identity.embed(restored, batch.points) * person).sum(dim=1)
            terms["identity"] = (1 - cosine).mean()
            total = total + weights.identity * weights.identity_interval * terms["identity"]
        if output.confidence_logits is not None and weights.confidence:
            right = confidence_target(restored, batch.image)
            terms["confidence"] = F.binary_cross_entropy_with_logits(output.confidence_logits, right)
            total = total + weights.confidence * terms["confidence"]
        return LossTerms(total, {name: value.detach() for name, value in terms.items()})
