"""The objective of a training: the networks, their optimizers, and what one step does to them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from facerecon.errors import DivergedError


class Progress(NamedTuple):
    """Where a training is: ``step``, from 0, of ``steps``."""

    step: int
    steps: int


class Objective(ABC):
    """Owns modules, optimizers, schedules and EMA, and makes a step from all accumulated batches.

    Loop and checkpointer know neither how many networks there are nor what they do. ``modules`` and ``optimizers`` are
    saved and restored by name; names have no slash.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The module that is validated, kept and exported."""

    @abstractmethod
    def step(self, batches: Sequence[Any], progress: Progress) -> Mapping[str, Tensor]:
        """One optimiser step of each network; returns the losses by name, detached, ``total`` among them.

        Raises:
            DivergedError: a loss or a gradient is not finite.
        """

    @abstractmethod
    def learning_rates(self) -> Mapping[str, float]:
        """The rates of the last step by the name under which they are logged."""


def check_finite(what: str, value: Tensor, terms: Mapping[str, Tensor], step: int) -> None:
    """Raise DivergedError, which names the loss terms, if ``value`` is not finite."""
    if not torch.isfinite(value):
        shown = ", ".join(f"{name} {float(term):.3g}" for name, term in terms.items())
        raise DivergedError(
            f"training: the {what} is no longer a number at step {step + 1} ({shown}): "
            "lower training.learning_rate, or set training.precision to 32-true"
        )
