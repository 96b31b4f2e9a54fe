"""The objective of restoration: a generator under AdamW and a cosine schedule, and if wanted a discriminator."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.models.restoration import Restoration, RestorationModel
from facerecon.tasks.restoration.adversarial import Adversary, gradient_share
from facerecon.tasks.restoration.dataset import Batch
from facerecon.tasks.restoration.losses import RestorationLoss
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.training.averaging import running_mean
from facerecon.training.objective import Objective, Progress, check_finite
from facerecon.training.schedule import learning_rate

SHARE_INTERVAL = 50
"""On every such step it is told how much of the generator's gradient is the discriminator's: that costs a pass."""


class RestorationObjective(Objective):
    """Trains ``model`` on the loss, and on what a discriminator makes of its images where there is one."""

    def __init__(self, model: RestorationModel, settings: TrainingSettings, fabric: Fabric, size: int) -> None:
        self.settings, self.fabric, self.model = settings, fabric, model
        self.criterion = fabric.to_device(RestorationLoss(settings.losses))
        optimizer = torch.optim.AdamW(
            model.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            # all weights in one pass; with a scaler of gradients Fabric could not clip them
            fused=settings.precision != "16-mixed",
        )
        self.network, self.optimizer = fabric.setup(model, optimizer)
        self.average = running_mean(model, settings.ema_decay) if settings.ema_decay else None
        self.modules = {"model": model} if self.average is None else {"model": model, "average": self.average}
        self.optimizers = {"adamw": self.optimizer}
        self.adversary = None if settings.adversarial is None else Adversary(settings.adversarial, fabric, size)
        if self.adversary is not None:
            self.modules |= self.adversary.modules
            self.optimizers |= self.adversary.optimizers
        self.rate = settings.learning_rate

    @property
    def module(self) -> nn.Module:
        return self.model if self.average is None else cast(nn.Module, self.average.module)

    def learning_rates(self) -> Mapping[str, float]:
        return {"learning_rate": self.rate}

    def step(self, batches: Sequence[Batch], progress: Progress) -> Mapping[str, Tensor]:
        fabric, settings, step = self.fabric, self.settings, progress.step
        self.rate = learning_rate(step, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
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
        norm = fabric.clip_gradients(
            self.network, self.optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
        )
        if norm is not None and settings.precision != "16-mixed":
            # in 16 bits an overflow is expected now and then: the scaler skips the step
            check_finite("gradient", norm, losses[-1], step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
        means = {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
        return means | self.adversary.step(pairs, progress) if self.adversary is not None and pairs else means

    def _adversarial_share(self, output: Restoration, batch: Batch, progress: Progress) -> Tensor:
        """The discriminator's share of the gradient that reaches the images made."""
        assert self.adversary is not None
        made = output.restoration.detach().requires_grad_(True)
        pixels = self.criterion(Restoration(made, None), batch, progress.step).total
        return gradient_share(self.adversary.generator_term(made, batch.image, progress), pixels, made)
