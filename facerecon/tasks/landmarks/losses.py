"""The loss of landmarks: points, depth, confidence."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facerecon.models.landmarks import NEAR, Landmarks
from facerecon.tasks.landmarks.dataset import Batch
from facerecon.tasks.landmarks.training_settings import LossSettings

WING, CURVATURE = 0.1, 0.02
"""The wing loss is a logarithm below WING, as a share of the box, and L1 above; CURVATURE is that of the logarithm."""


class LossTerms(NamedTuple):
    """The loss to minimise and its unweighted terms by name."""

    total: Tensor
    terms: dict[str, Tensor]


def landmark_loss(output: Landmarks, batch: Batch, settings: LossSettings) -> LossTerms:
    """Errors of points and depth as shares of the face's box, and how wrong the confidence is.

    Of a crop without a face the last alone is asked.
    """
    box, shown = batch.box[:, None, None], batch.face[:, None, None]
    missed = _distance((output.landmarks.float() - batch.points) / box, settings.kind)
    terms = {"points": (missed * shown).sum() / (shown.sum().clamp(min=1) * missed[0].numel())}
    total = settings.points * terms["points"]
    if settings.depth and bool(batch.inside.any()):
        errors = _distance((output.depth.float() - batch.depth) / box[..., None], settings.kind)
        terms["depth"] = (errors * batch.inside).sum() / batch.inside.sum()
        total = total + settings.depth * terms["depth"]
    if settings.confidence:
        logits = output.confidence_logits.float()
        terms["confidence"] = F.binary_cross_entropy_with_logits(logits, near(output.landmarks, batch))
        total = total + settings.confidence * terms["confidence"]
    return LossTerms(total, {name: value.detach() for name, value in terms.items()})


def near(landmarks: Tensor, batch: Batch) -> Tensor:
    """1 where a point [N, 68, 3] lies NEAR the true one in the image, else 0: [N, 68], without gradient; 0 for a crop
    without a face."""
    distance = (landmarks.detach().float() - batch.points)[..., :2].norm(dim=2)
    return (distance <= NEAR * batch.box[:, None]).float() * batch.face[:, None]


def _distance(errors: Tensor, kind: str) -> Tensor:
    if kind == "mse":
        return errors.square()
    size = errors.abs()
    if kind == "l1":
        return size
    if kind == "mse_mae":
        return errors.square() + size
    offset = WING - WING * torch.log1p(torch.tensor(WING / CURVATURE))
    return torch.where(size < WING, WING * torch.log1p(size / CURVATURE), size - offset)
