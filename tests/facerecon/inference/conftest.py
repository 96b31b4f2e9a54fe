"""A small model file and drawn photographs."""

from pathlib import Path

import numpy as np
import pytest

from facerecon.contract import INPAINTING
from facerecon.export.onnx import to_onnx
from facerecon.inference.making import Model
from facerecon.models.trained import TrainedModel
from facerecon.tasks import get_task


@pytest.fixture(scope="session")
def inpainting_model(tiny_model: TrainedModel) -> Model:
    """A small untrained network for faces of 64 px, as a file called tiny.onnx."""
    task = get_task("inpainting")
    about = {"family": "unet_attention", "size": "64", "licence": "MIT"}
    digests = {f"{what}_digest": "0123abcd" for what in ("weights", "config", "data")}
    metadata = {**INPAINTING.metadata, **about, **digests}
    return Model(
        to_onnx(task.contract(tiny_model), task.signature, task.signature.zeros(N=2, H=64, W=64), metadata), "tiny.onnx"
    )


@pytest.fixture(scope="session")
def photo(sample_faces: Path) -> Path:
    """A drawn photograph of 256 px with one face."""
    return sorted(path for path in sample_faces.rglob("*") if path.suffix in (".png", ".jpg"))[0]


@pytest.fixture(autouse=True)
def own_custody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key and an audit log for each test alone."""
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    return tmp_path / "custody"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A mask for ``photo``: a square over the middle of the face, with soft edges."""
    from PIL import Image

    values = np.zeros((256, 256), np.uint8)
    values[120:170, 100:160] = 255
    values[119, 100:160], values[170, 100:160] = 127, 128
    path = tmp_path / "mask.png"
    Image.fromarray(values).save(path)
    return path
