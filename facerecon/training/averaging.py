"""A running mean of the weights, which wanders less than the weights themselves."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def running_mean(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of ``model`` that ``update_parameters`` moves by ``1 - decay`` towards it, its statistics too.

    At first it moves by more, so that weights as they were drawn are soon forgotten: at its t-th update it keeps no
    more than t / (t + 9) of itself, as TensorFlow's ExponentialMovingAverage does.
    """

    def moved(mean: Tensor, value: Tensor, updates: Tensor | int) -> Tensor:
        if not mean.is_floating_point():
            return value
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        return torch.lerp(mean, value, 1 - kept)

    return AveragedModel(model, avg_fn=moved, use_buffers=True)
