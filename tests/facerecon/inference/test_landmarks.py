"""Points in, points out, in the pixels of the images that were given."""

import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.inference.landmarks import measure
from facerecon.inference.making import Model
from facerecon.inference.predictor import Predictor


def test_points_depth_and_confidence_come_out_of_each_image(measuring_model: Model) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    points, depths, confidences = measure(Predictor.load(measuring_model.content, threads=1), images)
    assert (points.shape, depths.shape, confidences.shape) == ((3, 68, 3), (3, 64, 64), (3, 68))
    assert {each.dtype for each in (points, depths, confidences)} == {np.dtype(np.float32)}
    assert ((confidences >= 0) & (confidences <= 1)).all()


def test_a_network_of_the_task_gives_what_its_file_gives() -> None:
    import torch

    from facerecon.contract import LANDMARKS, normalise
    from facerecon.export.onnx import to_onnx
    from facerecon.models import build_model
    from facerecon.tasks.landmarks.export import Contract

    torch.manual_seed(0)
    module = Contract(build_model("multitask", {"width": 16})).eval()
    about = {"task": "landmarks", "family": "multitask", "size": "64", "licence": "MIT"}
    about |= {f"{what}_digest": "0123" for what in ("weights", "config", "data")}
    file = to_onnx(module, LANDMARKS, LANDMARKS.zeros(N=2, H=64, W=64), LANDMARKS.metadata | about)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    found = measure(Predictor.load(file, threads=1), images)
    with torch.inference_mode():
        expected = [output.numpy() for output in module(torch.from_numpy(normalise(images)))]
    for got, wanted in zip(found, (expected[0], expected[1][:, 0], expected[2]), strict=True):
        assert np.abs(got - wanted).max() < 1e-3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((1, 8, 8, 3), np.float32), r"images: float32 \[1, 8, 8, 3\]; expected uint8 \[N, H, W, 3\]"),
        (np.zeros((8, 8, 3), np.uint8), r"images: uint8 \[8, 8, 3\]"),
    ],
    ids=["float32", "one image"],
)
def test_what_is_no_image_is_one_line(measuring_model: Model, given: np.ndarray, said: str) -> None:
    with pytest.raises(FaceReconError, match=said):
        measure(Predictor.load(measuring_model.content, threads=1), given)


def test_a_model_of_another_task_is_one_line(restoration_model: Model) -> None:
    predictor = Predictor.load(restoration_model.content, threads=1)
    with pytest.raises(FaceReconError, match="a model of task 'restoration'; expected one of task 'landmarks'"):
        measure(predictor, np.zeros((1, 64, 64, 3), np.uint8))
