"""The objective of inpainting: one network, AdamW, a cosine schedule, and if wanted a running mean of the weights."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor

from facerecon.models import ReconstructionModel
from facerecon.tasks.inpainting.dataset import Batch
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.training.network_objective import NetworkObjective
from facerecon.training.objective import Progress, check_finite
from facerecon.training.schedule import learning_rate


def is_coarse(step: int, settings: TrainingSettings) -> bool:
    """Whether ``step`` is one of the first, on images of half the size."""
    return step < settings.coarse_share * settings.steps


def work(steps: int, settings: TrainingSettings) -> float:
    """What so many steps from the first on cost, in steps at full size: a coarse one has a quarter of the pixels."""
    return steps - 0.75 * min(steps, math.ceil(settings.coarse_share * settings.steps))


class InpaintingObjective(NetworkObjective[ReconstructionModel, TrainingSettings]):
    """Trains ``model`` on the composite loss."""

    def __init__(self, model: ReconstructionModel, settings: TrainingSettings, fabric: Fabric) -> None:
        super().__init__(model, settings, fabric)
        self.criterion = fabric.to_device(ReconstructionLoss(settings.losses))

    def step(self, batches: Sequence[Batch], progress: Progress) -> Mapping[str, Tensor]:
        fabric, settings, step = self.fabric, self.settings, progress.step
        self.model.set_progress(work(step, settings) / work(settings.steps, settings))
        self.set_rate(learning_rate(step, settings, partial(work, settings=settings)))
        coarse = is_coarse(step, settings)
        losses = []
        for index, batch in enumerate(batches):
            seen = batch.halved() if coarse else batch
            with fabric.no_backward_sync(self.network, enabled=index + 1 < len(batches)):
                with fabric.autocast():
                    loss = self.criterion(self.network(seen.image, seen.mask), seen, step, coarse)
                check_finite("loss", loss.total, loss.terms, step)
                fabric.backward(loss.total / len(batches))
            losses.append({"total": loss.total.detach(), **loss.terms})
        self.update(loss.terms, step)
        return {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
