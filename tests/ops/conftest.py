"""MLflow on a database of the test's own, and models small enough to register in a moment."""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from zenml.client import Client

from facerecon.evaluation.promotion import GateFigures, Measure, PromotionSettings
from facerecon.export.onnx import ExportedModel, to_onnx
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel, save_model

OPTIONS = {"features": [4, 8]}


@pytest.fixture(scope="session")
def zenml() -> Client:
    """ZenML's client, on the store of this test process."""
    return Client()


@pytest.fixture(scope="session")
def empty_tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with MLflow's experiment in it, made once: its tables cost seconds. Copy it."""
    folder = tmp_path_factory.mktemp("tracker") / "state"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACERECON_STATE", str(folder))
        from ops.stack import create_experiment

        create_experiment()
    return folder


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracker: Path):
    """The state folder, with MLflow's experiment in it."""
    yield from use_copy(empty_tracker, tmp_path / "state", monkeypatch)


def use_copy(template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Copy the database of a template state folder to ``folder`` and use it; artifacts go there too."""
    from ops.stack import EXPERIMENT, tracking_uri

    (folder / "mlflow-artifacts").mkdir(parents=True)
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    with sqlite3.connect(folder / "mlflow.db") as database:
        location = ((folder / "mlflow-artifacts").as_uri(), EXPERIMENT)
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", location)
    monkeypatch.setenv("FACERECON_STATE", str(folder))
    mlflow.set_tracking_uri(tracking_uri())
    mlflow.set_experiment(EXPERIMENT)
    yield folder
    while mlflow.active_run():
        mlflow.end_run()


def model(seed: int) -> TrainedModel:
    """A network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_model("unet_attention", OPTIONS)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return TrainedModel("unet_attention", OPTIONS, 64, 1, weights)


@pytest.fixture
def make_model() -> Callable[[int], TrainedModel]:
    return model


@pytest.fixture(scope="session")
def exported() -> ExportedModel:
    return ExportedModel(to_onnx(model(0), {"family": "unet_attention"}), {})


@pytest.fixture(scope="session")
def logged_tracker(
    empty_tracker: Path, exported: ExportedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A state folder whose tracker holds one run with one logged ONNX model, and that model's uri. Copy it."""
    from ops.registry import log_onnx

    with pytest.MonkeyPatch.context() as patch:
        copy = use_copy(empty_tracker, tmp_path_factory.mktemp("logged") / "state", patch)
        folder = next(copy)
        with mlflow.start_run(run_name="demo-run"):
            mlflow.set_tags({"git_commit": "c0ffee", "code_digest.train": "beef", "data_dvc_digest": "d5c.dir"})
            uri = log_onnx(exported, 2)
        list(copy)
    return folder, uri


PEOPLE = 12
LEVELS = (1, 2, 3)


def gate_figures(
    hole_psnr: float | np.ndarray, held_out: float = 0.0, lpips: float = 0.2, identity: float = 0.6
) -> GateFigures:
    """Figures of two photos each of twelve people: brush hole PSNR (a number, or one a face) minus the level, held-out
    masks ``held_out`` dB above that; LPIPS and identity the same for all."""
    faces = np.zeros(2 * PEOPLE)
    values = {}
    for level in LEVELS:
        values[Measure("brush", level, "hole_psnr")] = faces + hole_psnr - level
        values[Measure("held_out", level, "hole_psnr")] = faces + hole_psnr - level + held_out
        values[Measure("brush", level, "lpips")] = faces + lpips
        values[Measure("brush", level, "identity")] = faces + identity
    return GateFigures(tuple(f"person {index // 2}" for index in range(2 * PEOPLE)), values)


@dataclass(frozen=True)
class Offer:
    """What is offered for promotion: the models by seed, with the figures that today's gate has for each."""

    state: Path
    uri: str
    figures: dict[str, GateFigures]

    def say(self, seed: int, figures: GateFigures) -> None:
        """The gate has these figures for the model of this seed from now on."""
        self.figures[model(seed).digest] = figures

    def __call__(
        self,
        seed: int,
        figures: GateFigures | float | None = None,
        config: str = "demo",
        size: int = 64,
        **changed: Any,
    ) -> dict:
        """Offer the model of a seed, trained at ``size`` pixels; earlier ones keep their figures.

        ``changed`` changes the grounds.
        """
        from ops.promotion import Grounds, challenge

        trained = replace(model(seed), size=size)
        if figures is not None:
            self.say(seed, figures if isinstance(figures, GateFigures) else gate_figures(figures))
        path = self.state / f"weights-{seed}.safetensors"
        save_model(path, trained)
        grounds = Grounds(PromotionSettings(), {"manifest_digest": "m" * 64}, "MIT", {"sface": "Apache-2.0"})
        return challenge(
            config,
            self.uri,
            str(path),
            trained,
            lambda known: self.figures[known.digest],
            replace(grounds, **changed),
            by=f"run-{seed}",
        )


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_tracker: tuple[Path, str]):
    """Offer models for promotion to a registry of the test's own."""
    template, uri = logged_tracker
    for folder in use_copy(template, tmp_path / "state", monkeypatch):
        yield Offer(folder, uri, {})


def alias(name: str, config: str = "demo") -> int | None:
    """The version that an alias stands on."""
    number = mlflow.MlflowClient().get_registered_model(f"facerecon-{config}").aliases.get(name)
    return None if number is None else int(number)


@pytest.fixture
def alias_of() -> Callable[..., int | None]:
    return alias


@pytest.fixture
def make_figures() -> Callable[..., GateFigures]:
    return gate_figures
