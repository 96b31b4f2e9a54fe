"""The objective of restoration: one network, AdamW, a cosine schedule, and if wanted a running mean of the weights."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.models.restoration import RestorationModel
from facerecon.tasks.restoration.dataset import Batch
from facerecon.tasks.restoration.losses import RestorationLoss
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.training.averaging import running_mean
from facerecon.training.objective import Objective, Progress, check_finite
from facerecon.training.schedule import learning_rate


class RestorationObjective(Objective):
    """Trains ``model`` on the loss."""

    def __init__(self, model: RestorationModel, settings: TrainingSettings, fabric: Fabric) -> None:
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
        losses = []
        for index, batch in enumerate(batches):
            with fabric.no_backward_sync(self.network, enabled=index + 1 < len(batches)):
                with fabric.autocast():
                    loss = self.criterion(self.network(batch.degraded), batch, step)
                check_finite("loss", loss.total, loss.terms, step)
                fabric.backward(loss.total / len(batches))
            losses.append({"total": loss.total.detach(), **loss.terms})
        norm = fabric.clip_gradients(
            self.network, self.optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
        )
        if norm is not None and settings.precision != "16-mixed":
            # in 16 bits an overflow is expected now and then: the scaler skips the step
            check_finite("gradient", norm, loss.terms, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
