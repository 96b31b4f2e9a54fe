"""One network under AdamW, and if wanted a running mean of its weights: what the tasks' objectives share."""

from collections.abc import Mapping
from typing import Generic, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.training.averaging import running_mean
from facerecon.training.objective import Objective, check_finite
from facerecon.training.settings import OptimizerSettings

Chosen = TypeVar("Chosen", bound=OptimizerSettings)
Model = TypeVar("Model", bound=nn.Module)


class NetworkObjective(Objective, Generic[Model, Chosen]):
    """Owns ``model`` and its optimizer; ``network`` is the model as Fabric wraps it.

    A subclass' ``step`` begins with ``set_rate``, and ends with ``update`` once all gradients are there.
    """

    def __init__(self, model: Model, settings: Chosen, fabric: Fabric) -> None:
        self.settings, self.fabric, self.model = settings, fabric, model
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

    def set_rate(self, rate: float) -> None:
        """The learning rate of this step."""
        self.rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def update(self, terms: Mapping[str, Tensor], step: int) -> None:
        """Clip the gradients, make the optimizer's step, and move the running mean.

        Raises:
            DivergedError: a gradient is not finite; the line names the loss ``terms``.
        """
        norm = self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )
        if norm is not None and self.settings.precision != "16-mixed":
            # in 16 bits an overflow is expected now and then: the scaler skips the step
            check_finite("gradient", norm, terms, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
