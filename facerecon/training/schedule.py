"""The learning rate's schedule."""

import math
from collections.abc import Callable

from facerecon.training.settings import OptimizerSettings


def learning_rate(step: int, settings: OptimizerSettings, work: Callable[[int], float] = float) -> float:
    """The rate at ``step``: a linear warm-up, then a half cosine down to the final rate at the last step.

    Along the cosine a step counts by its ``work``, of which the argument gives what so many steps from the first cost.
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    start = work(settings.warmup_steps)
    done = (work(step) - start) / max(work(1), work(settings.steps - 1) - start)
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2
