"""Points of the training curves."""

import pytest
import torch
from lightning_fabric import Fabric

from facerecon.training.meter import Meter
from facerecon.training.settings import LoopSettings


def test_a_long_run_has_a_hundred_points_not_thousands() -> None:
    meter = Meter(LoopSettings(steps=30_000, validate_every=1000), Fabric(accelerator="cpu"))
    due = [step + 1 for step in range(30_000) if meter.due(step)]
    assert 100 <= len(due) <= 130
    assert set(range(1000, 30_001, 1000)) <= set(due)


def test_a_point_has_the_means_since_the_last_one_and_only_what_was_computed() -> None:
    meter = Meter(LoopSettings(), Fabric(accelerator="cpu"))
    meter.update({"total": torch.tensor(1.0), "identity": torch.tensor(5.0)}, images=4)
    meter.update({"total": torch.tensor(2.0)}, images=4)
    row = meter.compute(1, {"learning_rate": 0.1})
    assert {name: value for name, value in row.items() if name != "images_per_second"} == {
        "step": 2,
        "learning_rate": 0.1,
        "loss/total": pytest.approx(1.5),
        "loss/identity": 5,
    }
    assert row["images_per_second"] > 0
    meter.reset()
    meter.update({"total": torch.tensor(7.0)}, images=1)
    assert meter.compute(2, {})["loss/total"] == 7
    assert "loss/identity" not in meter.compute(2, {})
