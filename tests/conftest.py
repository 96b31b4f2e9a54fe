"""What many tests share: drawn faces in a folder, and the same faces cut out."""

from pathlib import Path

import pytest
from hypothesis import settings

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.synthetic import write_dataset
from facerecon.weights import weights_path

# a loaded machine is no failure; all else is as Hypothesis has it, which differs in CI
settings.register_profile("facerecon", deadline=None)
settings.load_profile("facerecon")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: they take longest, and begun last they would keep one process busy alone."""
    items.sort(key=lambda item: "pipelines" not in item.path.parts)


@pytest.fixture(scope="session")
def landmark_model() -> Path:
    """The bundle of MediaPipe's FaceLandmarker."""
    return weights_path("face_landmarker")


@pytest.fixture(scope="session")
def sample_faces(tmp_path_factory: pytest.TempPathFactory, landmark_model: Path) -> Path:
    """A folder with two photographs, 256 px, of each of eight people who do not exist. Do not write to it."""
    folder = tmp_path_factory.mktemp("sample")
    write_dataset(folder, landmark_model, identities=8, photos=2, size=256, seed=0, workers=1)
    return folder


@pytest.fixture(scope="session")
def aligned(sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The faces of ``sample_faces`` cut out at 64 px. Do not write to its store."""
    photos = ingest(DataSettings(path=str(sample_faces)), sample_faces, tmp_path_factory.mktemp("frames"))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))
