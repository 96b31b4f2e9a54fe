"""The running mean of the weights."""

import pytest
import torch
from torch import nn

from facerecon.training.averaging import running_mean


def walked(decay: float, values: list[float]) -> float:
    """The running mean after a weight went through ``values``, having been drawn as 100."""
    model = nn.Linear(1, 1, bias=False)
    weight = model.weight
    with torch.no_grad():
        weight.fill_(100)
        mean = running_mean(model, decay)
        for value in values:
            weight.fill_(value)
            mean.update_parameters(model)
    return float(mean.module.weight.detach())


def test_it_forgets_what_was_drawn() -> None:
    assert walked(0.999, [3.0]) == 3


def test_its_first_updates_weigh_more() -> None:
    kept = 2 / 11
    assert walked(0.999, [0.0, 1.0]) == pytest.approx(1 - kept)
    assert walked(0.1, [0.0, 1.0]) == pytest.approx(0.9)


def test_in_the_long_run_a_step_counts_as_the_decay_says() -> None:
    assert walked(0.9, [0.0] * 200 + [1.0]) == pytest.approx(0.1)


def test_statistics_are_averaged_and_counts_are_not() -> None:
    model = nn.BatchNorm1d(2)
    mean = running_mean(model, 0.5)
    for _ in range(3):
        model(torch.randn(8, 2) + 5)
        mean.update_parameters(model)
    assert int(mean.module.num_batches_tracked) == 3
    assert 0 < float(mean.module.running_mean[0]) < float(model.running_mean[0])
