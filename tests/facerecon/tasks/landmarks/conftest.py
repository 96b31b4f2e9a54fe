"""Drawn faces with their shape, their frozen crops, and a training of a small network on them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.experiment import Experiment
from facerecon.models.trained import Row, TrainingResult
from facerecon.run import RunSettings, parse_settings
from facerecon.synthetic import write_dataset
from facerecon.tasks import get_task
from facerecon.tasks.landmarks.cases import CasesPart, LandmarkCases, freeze

TINY = {"family": "multitask", "options": {"width": 16}}
FEW = {"steps": 4, "batch_size": 4, "warmup_steps": 2, "validate_every": 2, "accelerator": "cpu", "threads": 1}
FEW |= {"precision": "32-true"}
SPLITS = {"val": ["drawn-0-4"], "gate": ["drawn-0-5"], "test": ["drawn-0-6", "drawn-0-7"]}


def settings_of(**given: Any) -> RunSettings:
    """Settings of a small training of landmarks; what is ``given`` goes before."""
    training = FEW | given.pop("training", {})
    degradations = {"training": ["low_resolution"], "evaluation": ["clean", "low_resolution", "poor_light"]}
    own = {"model": TINY, "training": training, "degradations": degradations}
    return parse_settings({"task": "landmarks", **own, **given}, "test")


@pytest.fixture(scope="session")
def shaped_faces(tmp_path_factory: pytest.TempPathFactory, landmark_model: Path) -> Path:
    """A folder with two photographs of each of eight drawn people and their shape. Do not write to it."""
    folder = tmp_path_factory.mktemp("shaped")
    write_dataset(folder, landmark_model, identities=8, photos=2, size=256, seed=0, workers=1, shape=True)
    return folder


@pytest.fixture(scope="session")
def faces(shaped_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """These faces, aligned at 64 px: four people to train on, one each for val and gate, two for test."""
    splits = {"people": {**SPLITS, "train": [f"drawn-0-{number}" for number in range(4)]}}
    settings = DataSettings.model_validate({"path": str(shaped_faces), "source": "drawn", "splits": splits})
    photos = ingest(settings, shaped_faces, tmp_path_factory.mktemp("frames"))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def without_truth(faces: Manifest, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The same photographs as any folder's: their points are MediaPipe's."""
    (source,) = faces.sources.values()
    settings = DataSettings.model_validate({"path": source.root, "source": "folder"})
    photos = ingest(settings, Path(source.root), tmp_path_factory.mktemp("frames"))
    same = dict(zip(faces.faces["sha256"], faces.faces["split"], strict=True))
    photos = replace(photos, faces=photos.faces.assign(split=photos.faces["sha256"].map(same)))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def mixed(shaped_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The drawn faces, whose truth is exact, and four photographs of people of whom nothing is told."""
    folder = tmp_path_factory.mktemp("untold")
    write_dataset(folder, landmark_model, identities=4, photos=1, size=256, seed=1, workers=1, shape=True)
    people = {**SPLITS, "train": [f"drawn-0-{number}" for number in range(4)]}
    others = dict(zip(("val", "gate", "test", "train"), range(4), strict=True))
    splits = {"people": {name: [*people[name], f"person_{others[name]:04d}"] for name in people}}
    sources = (
        DataSettings.model_validate({"path": str(shaped_faces), "source": "drawn", "splits": splits}),
        DataSettings.model_validate({"path": str(folder), "source": "folder", "splits": splits}),
    )
    photos = ingest(sources, folder, tmp_path_factory.mktemp("frames"))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def cases(faces: Manifest, tmp_path_factory: pytest.TempPathFactory) -> LandmarkCases:
    """The frozen crops of the faces that are not trained on."""
    part = CasesPart.model_validate(settings_of().values("degradations"))
    return freeze(part, faces, tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="session")
def train_drawn(faces: Manifest, cases: LandmarkCases) -> Callable[..., TrainingResult]:
    """``train_drawn(folder, training, log)`` trains the small network on the drawn faces."""

    def train(
        folder: Path, training: dict[str, Any] | None = None, log: Callable[[Row], None] = lambda row: None
    ) -> TrainingResult:
        values = settings_of(training=training or {}).values(*get_task("landmarks").fields["training"])
        experiment = Experiment("landmarks", values, faces, cases)
        return experiment.train(folder, experiment.provenance, log)

    return train


@pytest.fixture(scope="session")
def undisturbed(train_drawn: Callable[..., TrainingResult], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training that others are compared with."""
    return train_drawn(tmp_path_factory.mktemp("undisturbed"))
