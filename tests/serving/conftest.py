"""A small model file, a drawn photograph, and one service for a module's tests."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facerecon.contract import INPAINTING
from facerecon.synthetic import write_dataset
from serving.settings import ServeSettings
from serving.tokens import add_token
from tests.serving.client import Running, serving


def model_file(level: float) -> bytes:
    """A model for faces of 64 px that fills holes with one level of gray, in [-1, 1]: made in a moment."""
    from onnx import TensorProto, helper

    def tensor(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])

    def constant(name: str, value: float) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, [], [value])

    nodes = [
        helper.make_node("Sub", ["one", "mask"], ["known"]),
        helper.make_node("Mul", ["image", "known"], ["kept"]),
        helper.make_node("Mul", ["mask", "level"], ["made"]),
        helper.make_node("Add", ["kept", "made"], ["reconstruction"]),
        helper.make_node("Mul", ["mask", "half"], ["unsure"]),
        helper.make_node("Add", ["known", "unsure"], ["confidence"]),
    ]
    numbers = [constant("one", 1), constant("level", level), constant("half", 0.5)]
    inputs, outputs = [tensor("image", 3), tensor("mask", 1)], [tensor("reconstruction", 3), tensor("confidence", 1)]
    model = helper.make_model(
        helper.make_graph(nodes, "gray", inputs, outputs, numbers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    digests = {f"{what}_digest": "0123abcd" for what in ("weights", "config", "data")}
    about = {"task": "inpainting", "family": "gray", "size": "64", "licence": "MIT", **INPAINTING.metadata, **digests}
    helper.set_model_props(model, about)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's file."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(model_file(0.2))
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
def settings(own_folders: Path, model_path: Path) -> ServeSettings:
    """What the module's service is started with."""
    return ServeSettings(
        model=str(model_path), port=0, workers=1, queue=2, photo_mb=2, megapixels=1, video_mb=5, upload_seconds=3
    )


@pytest.fixture(scope="module")
def service(settings: ServeSettings, token: str) -> Iterator[Running]:
    """The module's service."""
    with serving(settings, token) as running:
        yield running
