"""Points of the training curves."""

import time
from collections import defaultdict
from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor

from facerecon.models.trained import Row
from facerecon.training.settings import LoopSettings


class Meter:
    """Means of the losses between two points of the curves, and the speed, over all processes."""

    def __init__(self, settings: LoopSettings, fabric: Fabric) -> None:
        self.settings, self.fabric = settings, fabric
        self.interval = max(1, settings.steps // 100)
        self.reset()

    def reset(self) -> None:
        """Start a new interval: called after validation and saving, whose time is not that of training."""
        self.sums: dict[str, list[Tensor]] = defaultdict(list)
        self.images, self.since = 0, time.perf_counter()

    def update(self, losses: Mapping[str, Tensor], images: int) -> None:
        """Count a step's losses and images."""
        for name, value in losses.items():
            self.sums[name].append(value)
        self.images += images

    def validates(self, step: int) -> bool:
        """Whether the model is validated after ``step``."""
        return (step + 1) % self.settings.validate_every == 0 or step + 1 == self.settings.steps

    def due(self, step: int) -> bool:
        """Whether the curves get a point after ``step``."""
        return (step + 1) % self.interval == 0 or self.validates(step)

    def compute(self, step: int, learning_rates: Mapping[str, float]) -> Row:
        """The point of the curves at ``step``; losses that were not computed since the last one are left out."""
        row: Row = {"step": step + 1, **learning_rates}
        for name, values in self.sums.items():
            mean = self.fabric.all_reduce(torch.stack(values).mean(), reduce_op="mean")
            row[f"loss/{name}"] = float(torch.as_tensor(mean))
        row["images_per_second"] = self.images * self.fabric.world_size / (time.perf_counter() - self.since)
        return row
