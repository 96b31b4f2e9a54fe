"""Blobs degraded and frozen, and a training of a small U-Net on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facerecon.data.manifest import Manifest
from facerecon.experiment import Experiment
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.run import RunSettings, parse_settings
from facerecon.tasks import get_task
from facerecon.tasks.restoration.cases import CasesPart, DegradedCases, freeze

TINY = {"family": "unet", "options": {"features": [8, 16], "fold": 2}}
FEW = {"steps": 6, "batch_size": 4, "warmup_steps": 2, "validate_every": 2, "accelerator": "cpu", "threads": 1}
FEW |= {"losses": {"perceptual": 0, "identity": 0}, "precision": "32-true"}


def settings_of(**given: Any) -> RunSettings:
    """Settings of a small restoration; what is ``given`` goes before."""
    training = FEW | given.pop("training", {})
    return parse_settings({"task": "restoration", "model": TINY, "training": training, **given}, "test")


@pytest.fixture(scope="session")
def cases(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> DegradedCases:
    """The blobs under motion blur and under what a recorder does."""
    settings = settings_of(degradations={"evaluation": ["motion", "cctv"]})
    part = CasesPart.model_validate(settings.values("degradations", "model"))
    return freeze(part, tiny_manifest, tmp_path_factory.mktemp("degraded"))


@pytest.fixture(scope="session")
def train_blobs(tiny_manifest: Manifest, cases: DegradedCases) -> Callable[..., TrainingResult]:
    """``train_blobs(folder, training, initial, log)`` trains the small U-Net on the blobs."""

    def train(
        folder: Path,
        training: dict[str, Any] | None = None,
        initial: TrainedModel | None = None,
        log: Callable[[Row], None] = lambda row: None,
    ) -> TrainingResult:
        values = settings_of(training=training or {}).values(*get_task("restoration").fields["training"])
        experiment = Experiment("restoration", values, tiny_manifest, cases, initial)
        return experiment.train(folder, experiment.provenance, log)

    return train


@pytest.fixture(scope="session")
def undisturbed(train_blobs: Callable[..., TrainingResult], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training that others are compared with."""
    return train_blobs(tmp_path_factory.mktemp("undisturbed"))
