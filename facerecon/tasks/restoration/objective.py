"""The objective of restoration: a generator under AdamW and a cosine schedule, and if wanted a discriminator."""

from collections.abc import Mapping, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor

from facerecon.models.restoration import Restoration, RestorationModel
from facerecon.tasks.restoration.adversarial import Adversary, gradient_share
from facerecon.tasks.restoration.dataset import Batch
from facerecon.tasks.restoration.losses import RestorationLoss
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.training.network_objective import NetworkObjective
from facerecon.training.objective import Progress, check_finite
from facerecon.training.schedule import learning_rate

SHARE_INTERVAL = 50
"""On every such step it is told how much of the generator's gradient is the discriminator's: that costs a pass."""


class RestorationObjective(NetworkObjective[RestorationModel, TrainingSettings]):
    """Trains ``model`` on the loss, and on what a discriminator makes of its images where there is one."""

    def __init__(self, model: RestorationModel, settings: TrainingSettings, fabric: Fabric, size: int) -> None:
        super().__init__(model, settings, fabric)
        self.criterion = fabric.to_device(RestorationLoss(settings.losses))
        self.adversary = None if settings.adversarial is None else Adversary(settings.adversarial, fabric, size)
        if self.adversary is not None:
            self.modules |= self.adversary.modules
            self.optimizers |= self.adversary.optimizers

    def step(self, batches: Sequence[Batch], progress: Progress) -> Mapping[str, Tensor]:
        fabric, settings, step = self.fabric, self.settings, progress.step
        self.set_rate(learning_rate(step, settings))
        losses, pairs = [], []
        for index, batch in enumerate(batches):
            with fabric.no_backward_sync(self.network, enabled=index + 1 < len(batches)):
                with fabric.autocast():
                    output = self.network(batch.degraded)
                    loss = self.criterion(output, batch, step)
                    total, terms = loss.total, loss.terms
                    if self.adversary is not None and self.adversary.teaches(progress):
                        adversarial = self.adversary.generator_term(output.restoration, batch.image, progress)
                        terms = {**terms, "adversarial": adversarial.detach()}
                        if step % SHARE_INTERVAL == 0:
                            terms["adversarial_share"] = self._adversarial_share(output, batch, progress)
                        total = total + adversarial
                        pairs.append((output.restoration.detach(), batch.image))
                check_finite("loss", total, terms, step)
                fabric.backward(total / len(batches))
            losses.append({"total": total.detach(), **terms})
        self.update(losses[-1], step)
        means = {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
        return means | self.adversary.step(pairs, progress) if self.adversary is not None and pairs else means

    def _adversarial_share(self, output: Restoration, batch: Batch, progress: Progress) -> Tensor:
        """The discriminator's share of the gradient that reaches the images made."""
        assert self.adversary is not None
        made = output.restoration.detach().requires_grad_(True)
        pixels = self.criterion(Restoration(made, None), batch, progress.step).total
        return gradient_share(self.adversary.generator_term(made, batch.image, progress), pixels, made)
