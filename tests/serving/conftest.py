"""A small model file, a drawn photograph, and one service for a module's tests."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.inference.making import Model
from facerecon.synthetic import write_dataset
from serving.settings import ServeSettings
from serving.tokens import add_token
from tests.serving.client import Running, serving
from tests.small_model import model_file, restoration_file


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's file."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(model_file(seed=2))
    return path


@pytest.fixture(scope="session")
def restoring_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model of restoration."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(restoration_file(seed=2))
    return path


@pytest.fixture(scope="session")
def locating_path(tmp_path_factory: pytest.TempPathFactory, measuring_model: Model) -> Path:
    """The file of a model of landmarks."""
    path = tmp_path_factory.mktemp("model") / measuring_model.name
    path.write_bytes(measuring_model.content)
    return path


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory, landmark_model: Path) -> bytes:
    """A drawn photograph of 256 px with one face."""
    folder = tmp_path_factory.mktemp("photo")
    write_dataset(folder, landmark_model, identities=1, photos=1, size=256, seed=0, workers=1)
    return next(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")).read_bytes()


def png(values: np.ndarray) -> bytes:
    """An array as a PNG."""
    stream = BytesIO()
    Image.fromarray(values).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def mask() -> bytes:
    """A mask for ``photo``: a square over the middle of the face."""
    values = np.zeros((256, 256), np.uint8)
    values[120:170, 100:160] = 255
    return png(values)


@pytest.fixture(scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Custody and state for a module alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("service")
        patch.setenv("FACERECON_CUSTODY", str(folder / "custody"))
        patch.setenv("FACERECON_STATE", str(folder / "state"))
        yield folder


@pytest.fixture(scope="module")
def token(own_folders: Path) -> str:
    """A token's text."""
    return add_token("ada")


@pytest.fixture(scope="module")
def settings(own_folders: Path, model_path: Path, restoring_path: Path, locating_path: Path) -> ServeSettings:
    """What the module's service is started with."""
    return ServeSettings(
        model=str(model_path),
        restore_model=str(restoring_path),
        landmarks_model=str(locating_path),
        port=0,
        workers=1,
        queue=2,
        photo_mb=2,
        megapixels=1,
        video_mb=5,
        upload_seconds=3,
    )


@pytest.fixture(scope="module")
def service(settings: ServeSettings, token: str) -> Iterator[Running]:
    """The module's service."""
    with serving(settings, token) as running:
        yield running
