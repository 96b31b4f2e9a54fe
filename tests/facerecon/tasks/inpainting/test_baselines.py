"""Baselines: they fill the hole, leave the rest alone and do not look under the mask."""

import numpy as np
import pytest

from facerecon.corruption.masks import draw_mask
from facerecon.tasks.inpainting.baselines import BASELINES, mean_fill, navier_stokes, telea


@pytest.fixture
def images() -> np.ndarray:
    """Three smooth images uint8 [3, 48, 48, 3]."""
    y, x = np.mgrid[:48, :48] / 48
    planes = [np.stack([x * k, y * k, (x + y) / 2], axis=-1) for k in (1.0, 0.7, 0.4)]
    return (np.stack(planes) * 200 + 30).astype(np.uint8)


@pytest.fixture
def masks() -> np.ndarray:
    return np.stack([draw_mask("brush", 48, 0.1 + 0.2 * i, np.random.default_rng(i)) for i in range(3)])


def test_the_registry_holds_them_all() -> None:
    assert list(BASELINES) == ["telea", "navier_stokes", "mean_fill"]
    assert list(BASELINES.values()) == [telea, navier_stokes, mean_fill]


@pytest.mark.parametrize("name", BASELINES)
def test_known_pixels_are_unchanged(name: str, images: np.ndarray, masks: np.ndarray) -> None:
    before = images.copy()
    filled = BASELINES[name](images, masks)
    assert filled.dtype == np.uint8
    assert filled.shape == images.shape
    assert np.array_equal(filled[masks == 0], images[masks == 0])
    assert np.array_equal(images, before)


@pytest.mark.parametrize("name", BASELINES)
def test_no_baseline_peeks(name: str, images: np.ndarray, masks: np.ndarray) -> None:
    noise = np.random.default_rng(9).integers(0, 256, images.shape, dtype=np.uint8)
    disturbed = np.where(masks[..., None] == 1, noise, images)
    assert not np.array_equal(disturbed, images)
    assert np.array_equal(BASELINES[name](disturbed, masks), BASELINES[name](images, masks))


@pytest.mark.parametrize("name", BASELINES)
def test_each_image_is_filled_by_itself(name: str, images: np.ndarray, masks: np.ndarray) -> None:
    alone = BASELINES[name](images[1:2], masks[1:2])
    assert np.array_equal(BASELINES[name](images, masks)[1], alone[0])


@pytest.mark.parametrize("name", ["telea", "navier_stokes"])
def test_inpainting_continues_a_gradient(name: str, images: np.ndarray, masks: np.ndarray) -> None:
    def error(filled: np.ndarray) -> float:
        return float(np.abs(filled[masks == 1].astype(int) - images[masks == 1]).mean())

    filled = BASELINES[name](images, masks)
    assert error(filled) < error(mean_fill(images, masks)) / 2
    assert not np.array_equal(BASELINES[name](images, masks, radius=9), filled)


def test_mean_fill_is_the_mean_of_the_known_pixels() -> None:
    image = np.full((1, 4, 4, 3), (10, 20, 30), np.uint8)
    image[0, 0] = (30, 40, 51)
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 2:] = 1
    filled = mean_fill(image, mask)
    assert filled[0, 3, 3].tolist() == [20, 30, 40]  # of a row of each; 40.5 rounds to even


def test_wrong_input_is_refused(images: np.ndarray, masks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        telea(images.astype(np.float32), masks)
    with pytest.raises(ValueError, match=r"\[N, H, W\]"):
        telea(images, masks[:2])
    with pytest.raises(ValueError, match="0 \\(known\\)"):
        telea(images, masks * 255)
    with pytest.raises(ValueError, match="no known pixel"):
        mean_fill(images, np.ones_like(masks))
