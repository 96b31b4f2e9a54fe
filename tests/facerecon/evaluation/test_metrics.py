"""Metrics, against other implementations and against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

from facerecon.evaluation.metrics import hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.evaluation.scores import Summary, summarise


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Five images uint8 [5, 3, 48, 40] and noisy versions of them, each with more noise."""
    rng = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand((5, 3, 6, 5), generator=rng), (48, 40), mode="bicubic")
    noise = torch.randn(smooth.shape, generator=rng) * torch.linspace(0.01, 0.4, 5).reshape(5, 1, 1, 1)
    return to_uint8(smooth * 2 - 1), to_uint8(smooth * 2 - 1 + noise)


@pytest.fixture
def mask() -> torch.Tensor:
    drawn = torch.zeros((5, 1, 48, 40))
    for index in range(5):
        drawn[index, :, 4 : 10 + 5 * index, 3:20] = 1
    return drawn


def as_image(batch: torch.Tensor, index: int) -> np.ndarray:
    return batch[index].permute(1, 2, 0).numpy()


def test_uint8_survives_the_round_trip() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(values.float() / 127.5 - 1), values)
    assert to_uint8(torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_uint8_refuses_what_is_no_colour(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_uint8(torch.tensor([0.0, wrong]))


def test_whole_psnr_agrees_with_others(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    ours = whole_psnr(*pair)
    assert ours.shape == (5,)
    theirs = [peak_signal_noise_ratio(as_image(pair[0], i), as_image(pair[1], i), data_range=255) for i in range(5)]
    assert ours.tolist() == pytest.approx(theirs, abs=1e-9)
    torchs = torchmetrics_psnr(pair[1].double(), pair[0].double(), data_range=255.0, reduction="none", dim=(1, 2, 3))
    assert ours.tolist() == pytest.approx(torchs.tolist(), abs=1e-5)  # it computes in float32


def test_hole_psnr_is_that_of_the_hole_alone(pair: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> None:
    ours = hole_psnr(*pair, mask).tolist()
    for index in range(5):
        a, b = (as_image(batch, index)[4 : 10 + 5 * index, 3:20] for batch in pair)
        assert ours[index] == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9)


def test_hole_and_whole_psnr_of_a_composite(pair: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> None:
    """All of a composite's error lies in the hole: they differ by the hole ratio in dB, exactly."""
    mixed = torch.where(mask == 1, pair[1], pair[0])
    gap = whole_psnr(mixed, pair[0]) - hole_psnr(mixed, pair[0], mask)
    assert gap.tolist() == pytest.approx((-10 * torch.log10(mask.double().mean(dim=(1, 2, 3)))).tolist(), abs=1e-9)


def test_known_pixels_do_not_enter_hole_psnr(pair: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> None:
    a, b = pair
    elsewhere = torch.where(mask == 1, b, 255 - b)
    assert torch.equal(hole_psnr(a, b, mask), hole_psnr(a, elsewhere, mask))


def test_a_mask_without_a_hole_has_no_hole_psnr(pair: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> None:
    mask[3] = 0
    with pytest.raises(ValueError, match="image 3"):
        hole_psnr(*pair, mask)


def test_ssim_agrees_with_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    ours = ssim(*pair)
    assert ours.shape == (5,)
    for index in range(5):
        theirs = structural_similarity(
            as_image(pair[0], index),
            as_image(pair[1], index),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=2,
        )
        assert float(ours[index]) == pytest.approx(theirs, abs=1e-6)
    assert ssim(pair[0][:1], pair[1][:1]).tolist() == pytest.approx(ours[:1].tolist(), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(11, 40), st.integers(11, 40), st.integers(0, 255))
@settings(max_examples=25)
def test_random_pairs_agree_with_scikit_image(seed: int, height: int, width: int, spread: int) -> None:
    """Of any size and difference, equal images among them."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (height, width, 3))
    b = np.clip(a + rng.integers(-spread, spread + 1, a.shape), 0, 255)
    ours, theirs = (torch.from_numpy(image.astype(np.uint8).transpose(2, 0, 1)[None].copy()) for image in (a, b))
    pair = as_image(ours, 0), as_image(theirs, 0)
    with np.errstate(divide="ignore"):
        assert float(whole_psnr(ours, theirs)) == pytest.approx(
            peak_signal_noise_ratio(*pair, data_range=255), abs=1e-9
        )
    expected = structural_similarity(
        *pair, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert float(ssim(ours, theirs)) == pytest.approx(expected, abs=1e-6)
    hole = torch.from_numpy(rng.random((1, 1, height, width)) < 0.3).float()
    hole[..., 0, 0] = 1
    inside = hole[0, 0].numpy() == 1
    error = np.mean((a[inside] - b[inside]) ** 2)
    wanted = math.inf if error == 0 else 10 * math.log10(255**2 / error)
    assert float(hole_psnr(ours, theirs, hole)) == pytest.approx(wanted, abs=1e-9)


def test_measures_refuse_what_is_not_quantised_or_fits_not(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    for measure in (whole_psnr, ssim):
        with pytest.raises(ValueError, match="uint8"):
            measure(pair[0].float(), pair[1])
        with pytest.raises(ValueError, match="one shape"):
            measure(pair[0], pair[1][:2])
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(pair[0][..., :10], pair[1][..., :10])


def test_equal_images_are_infinite(pair: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> None:
    a, b = pair
    b = b.clone()
    b[0] = a[0]
    figures = whole_psnr(a, b)
    assert math.isinf(figures[0])
    assert math.isinf(hole_psnr(a, b, mask)[0])
    assert float(ssim(a, b)[0]) == pytest.approx(1)
    summary = summarise(figures)
    assert (summary.n, summary.infinite) == (5, 1)
    assert summary.mean == pytest.approx(float(figures[1:].mean()))
    assert summary.std == pytest.approx(float(figures[1:].std(correction=0)))
    alone = summarise(whole_psnr(a, a))
    assert alone == Summary(mean=None, std=None, n=5, infinite=5)
