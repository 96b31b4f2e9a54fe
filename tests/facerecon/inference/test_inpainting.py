"""Pixels in, pixels out: known ones come back as they were."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facerecon.contract import INPAINTING
from facerecon.errors import FaceReconError
from facerecon.evaluation.metrics import to_uint8
from facerecon.export.onnx import to_onnx
from facerecon.inference.inpainting import inpaint
from facerecon.inference.predictor import Predictor
from facerecon.models.trained import TrainedModel
from facerecon.tasks import get_task

DIGESTS = {"weights_digest": "0123", "config_digest": "4567", "data_digest": "89ab"}
METADATA = {**INPAINTING.metadata, **DIGESTS, "family": "unet_attention", "size": "64", "licence": "MIT"}
Arrays = tuple[np.ndarray, np.ndarray]


def onnx_file(trained: TrainedModel, metadata: dict[str, str]) -> bytes:
    """The model as an ONNX file."""
    task = get_task("inpainting")
    return to_onnx(task.contract(trained), task.signature, task.signature.zeros(N=2, H=64, W=64), metadata)


@pytest.fixture(scope="module")
def predictor(tiny_model: TrainedModel) -> Predictor:
    return Predictor.load(onnx_file(tiny_model, METADATA), threads=1)


def drawn(count: int, height: int, width: int) -> Arrays:
    """Images of noise, and masks of which half is hole."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return images, (rng.random((count, height, width)) < 0.5).astype(np.uint8)


@pytest.mark.parametrize(("count", "height", "width"), [(1, 1, 1), (3, 64, 64), (2, 37, 81)])
def test_known_pixels_come_back_and_holes_are_filled(predictor: Predictor, count: int, height: int, width: int) -> None:
    images, masks = drawn(count, height, width)
    filled, confidences = inpaint(predictor, images, masks)
    assert (filled.dtype, filled.shape) == (np.uint8, images.shape)
    assert (confidences.dtype, confidences.shape) == (np.float32, masks.shape)
    known = masks == 0
    assert np.array_equal(filled[known], images[known])
    assert (confidences[known] == 1).all()
    assert ((confidences >= 0) & (confidences <= 1)).all()
    if not known.all():
        assert not np.array_equal(filled[~known], images[~known])


def test_holes_hold_what_evaluation_measures(predictor: Predictor, tiny_model: TrainedModel) -> None:
    images, masks = drawn(2, 64, 64)
    image = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    with torch.inference_mode():
        output = tiny_model.build()(image, torch.from_numpy(masks[:, None].astype(np.float32)))
    expected = to_uint8(output.reconstruction)
    filled = inpaint(predictor, images, masks).images
    difference = np.abs(filled.astype(int) - expected.numpy().transpose(0, 2, 3, 1))
    assert difference.max() <= 1
    assert (difference != 0).mean() < 0.001


def test_known_pixels_come_back_even_if_the_file_does_not_composite(predictor: Predictor) -> None:
    class White:
        def run(self, names: list[str], arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.ones_like(arrays["image"]), np.ones_like(arrays["mask"])]

    images, masks = drawn(2, 16, 16)
    filled = inpaint(replace(predictor, _session=White()), images, masks).images
    assert np.array_equal(filled, np.where(masks[..., None] == 1, 255, images))


def test_what_stands_in_a_hole_changes_nothing(predictor: Predictor) -> None:
    images, masks = drawn(2, 48, 48)
    other = np.where(masks[..., None] == 1, 255 - images, images)
    for one, two in zip(inpaint(predictor, images, masks), inpaint(predictor, other, masks), strict=True):
        assert np.array_equal(one, two)


def test_a_batch_gives_what_each_image_gives_alone(predictor: Predictor) -> None:
    images, masks = drawn(3, 32, 48)
    together = inpaint(predictor, images, masks).images
    alone = [inpaint(predictor, images[i : i + 1], masks[i : i + 1]).images[0] for i in range(3)]
    assert np.abs(together.astype(int) - np.stack(alone)).max() <= 1


def test_an_empty_mask_changes_nothing_and_a_full_one_fills_everything(predictor: Predictor) -> None:
    images, masks = drawn(1, 32, 32)
    assert np.array_equal(inpaint(predictor, images, np.zeros_like(masks)).images, images)
    full = inpaint(predictor, images, np.ones_like(masks))
    assert np.array_equal(full.images, inpaint(predictor, 255 - images, np.ones_like(masks)).images)


def arrays(images: tuple[type, tuple[int, ...]], masks: tuple[type, tuple[int, ...], int]) -> Arrays:
    return np.zeros(images[1], images[0]), np.full(masks[1], masks[2], masks[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            arrays((np.float32, (1, 8, 8, 3)), (np.uint8, (1, 8, 8), 0)),
            r"images: float32 \[1, 8, 8, 3\]; expected",
        ),
        (arrays((np.uint8, (8, 8, 3)), (np.uint8, (8, 8), 0)), r"images: uint8 \[8, 8, 3\]; expected uint8 \[N, H"),
        (arrays((np.uint8, (1, 8, 8, 4)), (np.uint8, (1, 8, 8), 0)), r"images: uint8 \[1, 8, 8, 4\]"),
        (
            arrays((np.uint8, (1, 8, 8, 3)), (np.uint8, (1, 8, 9), 0)),
            r"masks: .*\[1, 8, 9\]; expected .*\[1, 8, 8\]",
        ),
        (arrays((np.uint8, (1, 8, 8, 3)), (bool, (1, 8, 8), 0)), r"masks: bool \[1, 8, 8\]; expected uint8"),
        (arrays((np.uint8, (1, 8, 8, 3)), (np.uint8, (1, 8, 8), 255)), "masks hold 255; expected .* take mask > 127"),
        (arrays((np.uint8, (0, 8, 8, 3)), (np.uint8, (0, 8, 8), 0)), r"image: float32 \[0, 3, 8, 8\]: it is empty"),
    ],
)
def test_what_is_no_image_or_mask_is_one_line(predictor: Predictor, given: Arrays, said: str) -> None:
    with pytest.raises(FaceReconError, match=said):
        inpaint(predictor, *given)
