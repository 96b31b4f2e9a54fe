"""MLflow on a database of the test's own, and models small enough to register in a moment."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from zenml.client import Client

from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluation import TEST, Evaluation, ModelFacts
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import GATE, MODEL, Decision, GateMean
from facerecon.evaluation.scores import Scores
from facerecon.export.onnx import to_onnx
from facerecon.export.result import ExportedModel
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel, TrainingResult, save_model
from facerecon.tasks import Gate, get_task
from facerecon.tasks.inpainting.details import HoleRatio, InpaintingDetails
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.metrics import HOLE_PSNR as HOLE

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
        from ops.stack.tracker import create_experiment

        create_experiment()
    return folder


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracker: Path):
    """The state folder, with MLflow's experiment in it."""
    yield from use_copy(empty_tracker, tmp_path / "state", monkeypatch)


def use_copy(template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Copy the database of a template state folder to ``folder`` and use it; artifacts of new runs go there too.

    Files of the template's own runs stay where they are: MLflow remembers in a process where those of a run lie.
    """
    from ops.stack.tracker import EXPERIMENT, local_uri

    (folder / "mlflow-artifacts").mkdir(parents=True)
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    with sqlite3.connect(folder / "mlflow.db") as database:
        location = ((folder / "mlflow-artifacts").as_uri(), EXPERIMENT)
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", location)
    monkeypatch.setenv("FACERECON_STATE", str(folder))
    mlflow.set_tracking_uri(local_uri())
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
    task, trained = get_task("inpainting"), model(0)
    example = {name: np.concatenate([value, value]) for name, value in task.example(trained).items()}
    return ExportedModel(to_onnx(task.contract(trained), task.signature, example, {"family": trained.family}), {})


@pytest.fixture(scope="session")
def logged_tracker(
    empty_tracker: Path, exported: ExportedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A state folder whose tracker holds one run with one logged ONNX model, and that model's uri. Copy it."""
    from ops.registry import log_onnx

    task = get_task("inpainting")
    with pytest.MonkeyPatch.context() as patch:
        copy = use_copy(empty_tracker, tmp_path_factory.mktemp("logged") / "state", patch)
        folder = next(copy)
        with mlflow.start_run(run_name="demo-run"):
            mlflow.set_tags({"git_commit": "c0ffee", "code_digest.train": "beef", "data_dvc_digest": "d5c.dir"})
            uri = log_onnx(exported, task.signature, task.example(model(0)))
        list(copy)
    return folder, uri


PEOPLE = 12
LEVELS = (1, 2, 3)
FACES = tuple(f"face-{index}" for index in range(2 * PEOPLE))
SETTINGS = InpaintingPromotionSettings()


def manifest(learned: Mapping[str, str] | None = None) -> Manifest:
    """The gate's two photos each of twelve people, and those of others by name, whom a model learned from: ``learned``
    has the split of each."""
    rows = [(face, f"person {index // 2}", "gate") for index, face in enumerate(FACES)]
    learned = {"Ada": "train", "Bob": "val"} if learned is None else learned
    rows += [(f"photo of {person}", person, split) for person, split in learned.items()]
    faces = pd.DataFrame(rows, columns=["face", "identity", "split"])
    return Manifest(faces.assign(source="photos", crop_sha256="crop of " + faces["face"]))


MANIFEST = manifest()
HOLE_PSNR, LPIPS, IDENTITY = (metric.name for metric in SETTINGS.metrics)


def gate_scores(
    hole_psnr: float | np.ndarray, held_out: float = 0.0, lpips: float = 0.2, identity: float = 0.6
) -> Scores:
    """Scores of two photos each of twelve people: brush hole PSNR (a number, or one a face) minus the level, held-out
    masks ``held_out`` dB above that; LPIPS and identity the same for all."""
    faces, scores = np.zeros(len(FACES)), Scores()
    for level in LEVELS:
        for metric, case, value in (
            (HOLE_PSNR, "brush", hole_psnr - level),
            (HOLE_PSNR, "held_out", hole_psnr - level + held_out),
            (LPIPS, "brush", lpips),
            (IDENTITY, "brush", identity),
        ):
            scores.add(MetricKey(GATE, metric, case, level), MODEL, FACES, faces + value)
    return scores


class KnownGate(Gate):
    """A gate whose scores are made up: ``scores`` has those of each model by its weights' digest."""

    metrics = SETTINGS.metrics
    identities: ClassVar[Mapping[str, str]] = {face: f"person {index // 2}" for index, face in enumerate(FACES)}

    def __init__(self, scores: Mapping[str, Scores], settings: InpaintingPromotionSettings) -> None:
        self.scores, self.rule = scores, settings.rule

    def measure(self, trained: TrainedModel) -> Scores:
        return self.scores[trained.digest]


@dataclass(frozen=True)
class Offer:
    """What is offered for promotion: the models by seed, with the scores that today's gate has for each."""

    state: Path
    uri: str
    scores: dict[str, Scores]

    def say(self, seed: int, scores: Scores) -> None:
        """The gate has these scores for the model of this seed from now on."""
        self.scores[model(seed).digest] = scores

    def __call__(
        self,
        seed: int,
        scores: Scores | float | None = None,
        config: str = "demo",
        **changed: Any,
    ) -> Decision:
        """Offer the model of a seed; earlier ones keep their scores.

        ``changed`` changes the grounds, and ``size`` (pixels), ``task`` and ``teachers`` what is known of the model.
        """
        from ops.promotion import Grounds, Origin, challenge

        origin = Origin(changed.pop("faces", MANIFEST), changed.pop("parent", None))
        settings = changed.pop("settings", SETTINGS)
        about = {name: changed.pop(name) for name in ("size", "task", "teachers") if name in changed}
        trained = replace(model(seed), **about)
        if scores is not None:
            self.say(seed, scores if isinstance(scores, Scores) else gate_scores(scores))
        path = self.state / f"weights-{seed}.safetensors"
        save_model(path, trained)
        rule = settings.model_dump(mode="json")
        grounds = Grounds(rule, {"manifest_digest": "m" * 64}, {"photos": "MIT"}, {"sface": "Apache-2.0"})
        grounds, gate = replace(grounds, **changed), KnownGate(self.scores, settings)
        return challenge(config, self.uri, str(path), trained, gate, grounds, f"run-{seed}", origin)


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
def make_manifest() -> Callable[..., Manifest]:
    return manifest


@pytest.fixture
def make_scores() -> Callable[..., Scores]:
    return gate_scores


def evaluation(psnr: float, **samples: np.ndarray) -> Evaluation:
    """An evaluation of two faces: hole PSNR of the model and of Telea under brush masks, falling by 1 dB a level.

    A nose that is restored exactly has no finite figure; all other metrics are 0.5.
    """
    metrics = (WHOLE_PSNR, HOLE, SSIM, *SETTINGS.metrics[1:])
    scores, faces = Scores(), ("face-0", "face-1")
    for level in LEVELS:
        for metric in metrics:
            for method, value in ((MODEL, psnr), ("telea", 18.5), ("mean_fill", 14.0)):
                value = value - level if metric is HOLE else 0.5
                scores.add(MetricKey(TEST, metric.name, "brush", level), method, faces, [value] * 2)
    for method, value in ((MODEL, np.inf), ("telea", 17.0)):
        scores.add(MetricKey(TEST, HOLE.name, "features/nose"), method, faces, [value] * 2)
    return Evaluation(
        model=ModelFacts(task="inpainting", family="unet_fill", size=64, step=20, weights="w" * 64, parameters=7),
        **{"faces": 2, "identities": 2, "data": "d" * 64, "cases": "c" * 64},
        metrics=metrics,
        headline=(HOLE.name, "brush"),
        baseline="telea",
        methods={MODEL: "model", "telea": "Telea", "mean_fill": "mean fill"},
        judges=(),
        scores=scores,
        details=InpaintingDetails(
            threshold=16,
            attention=(),
            hole_ratios=tuple(HoleRatio(case="brush", level=level, ratio=0.2) for level in LEVELS),
            confidence=(),
        ),
        samples=samples,
    )


KEY = "val/hole_l1/brush"

HISTORY = [
    {"step": 10, "loss/total": 2.5, "loss/hole": 0.3, "images_per_second": 31.0, KEY: 0.3, "val/hole_psnr/brush": 15.0},
    {"step": 20, "loss/total": 1.5, "loss/hole": 0.2, "images_per_second": 27.0, KEY: 0.1, "val/hole_psnr/brush": 19.0},
    {"step": 25, "loss/total": 1.0, "loss/hole": 0.1, "images_per_second": 29.0},
]


def training_result(history: list[dict[str, float]] | None = None) -> TrainingResult:
    """A training whose best step is 20."""
    return TrainingResult(replace(model(0), step=20), history or HISTORY, 0, KEY)


def decision(psnr: float, version: int = 1) -> Decision:
    """A decision of which only some means at the gate are known."""
    means = [("hole_psnr", "brush", 1, psnr), ("lpips_vgg", "brush", 1, None)]
    return Decision(
        registered_model="facerecon-demo",
        version=version,
        champion=True,
        reason="the first model",
        gate_metric=HOLE_PSNR,
        gate_case="brush",
        metrics=SETTINGS.metrics,
        checks=(),
        means=tuple(GateMean(metric=m, case=c, level=n, challenger=v, champion=None) for m, c, n, v in means),
    )


@dataclass(frozen=True)
class Published:
    """Makes what a run publishes."""

    evaluation: Callable[..., Evaluation] = evaluation
    result: Callable[..., TrainingResult] = training_result
    decision: Callable[..., Decision] = decision
    history: tuple[dict[str, float], ...] = tuple(HISTORY)


@pytest.fixture
def published_by() -> Published:
    return Published()


@pytest.fixture
def source_root() -> Iterator[None]:
    """A worker of pytest-xdist is no program with a file, by which ZenML finds the code's root."""
    from zenml.utils import source_utils

    source_utils.set_custom_source_root(str(Path(__file__).parents[2]))
    yield
    source_utils.set_custom_source_root(None)
