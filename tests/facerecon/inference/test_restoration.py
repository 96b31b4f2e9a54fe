"""Pixels in, pixels out, as large as the model says."""

import numpy as np
import pytest

from facerecon.contract import RESTORATION, normalise
from facerecon.errors import FaceReconError
from facerecon.export.onnx import to_onnx
from facerecon.inference.predictor import Predictor
from facerecon.inference.restoration import restore
from facerecon.models import build_model
from tests.small_model import model_file, restoration_file

DIGESTS = {"weights_digest": "0123", "config_digest": "4567", "data_digest": "89ab"}


def images(count: int, height: int, width: int) -> np.ndarray:
    """Images of noise."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize(("count", "height", "width"), [(1, 1, 1), (2, 37, 81)])
def test_what_comes_out_is_scale_times_as_large(scale: int, count: int, height: int, width: int) -> None:
    predictor = Predictor.load(restoration_file(0, scale), threads=1)
    restored, confidences = restore(predictor, images(count, height, width))
    assert (restored.dtype, restored.shape) == (np.uint8, (count, height * scale, width * scale, 3))
    assert (confidences.dtype, confidences.shape) == (np.float32, (count, height * scale, width * scale))
    assert ((confidences >= 0) & (confidences <= 1)).all()


def test_a_family_of_the_task_gives_what_its_file_gives() -> None:
    import torch
    from torch import nn

    class Contract(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build_model("unet", {"features": [4, 8]})

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = self.network(image)
            return output.restoration, output.confidence

    torch.manual_seed(0)
    module, given = Contract().eval(), images(2, 30, 44)
    about = {"task": "restoration", "family": "unet", "size": "64", "scale": "1", "licence": "MIT"}
    example = RESTORATION.zeros(N=2, H=32, W=32)
    predictor = Predictor.load(to_onnx(module, RESTORATION, example, RESTORATION.metadata | about | DIGESTS), 1)
    restored, confidences = restore(predictor, given)
    with torch.inference_mode():
        image, confidence = module(torch.from_numpy(normalise(given)))
    expected = ((image.clamp(-1, 1) + 1) * 127.5).round().numpy().transpose(0, 2, 3, 1)
    assert np.abs(restored - expected).max() <= 1
    assert np.abs(confidences - confidence[:, 0].numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((1, 8, 8, 3), np.float32), r"images: float32 \[1, 8, 8, 3\]; expected uint8 \[N, H, W, 3\]"),
        (np.zeros((8, 8, 3), np.uint8), r"images: uint8 \[8, 8, 3\]"),
        (np.zeros((1, 8, 8, 4), np.uint8), r"images: uint8 \[1, 8, 8, 4\]"),
    ],
    ids=["float32", "one image", "four channels"],
)
def test_what_is_no_image_is_one_line(given: np.ndarray, said: str) -> None:
    with pytest.raises(FaceReconError, match=said):
        restore(Predictor.load(restoration_file(0), threads=1), given)


def test_a_model_of_another_task_is_one_line() -> None:
    with pytest.raises(FaceReconError, match="a model of task 'inpainting'; expected one of task 'restoration'"):
        restore(Predictor.load(model_file(0), threads=1), images(1, 8, 8))
