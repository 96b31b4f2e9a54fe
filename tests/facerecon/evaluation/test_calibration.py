"""Confidence's figures by their definitions, and that adding sums is the same as measuring everything at once."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, rankdata
from torchmetrics.functional.classification import binary_calibration_error

from facerecon.evaluation.calibration import BINS, Reliability, rank_correlation, reliability

chances = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1, width=32))


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Confidences [P], and whether each pixel is right."""
    said = draw(chances)
    return said, draw(arrays(np.bool_, len(said)))


def whole(said: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    found = reliability(said, right)
    return found.brier, found.brier_constant, found.calibration_error, found.mean_confidence, found.share_right


@given(judged())
def test_figures_by_their_definitions(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    said, right = pixels
    found = reliability(said, right)
    assert found.count == len(said)
    assert found.mean_confidence == pytest.approx(said.mean())
    assert found.share_right == pytest.approx(right.mean())
    assert found.brier == pytest.approx(np.mean((said - right) ** 2))
    assert found.brier_constant == pytest.approx(np.mean((right.mean() - right) ** 2), abs=1e-12)
    gaps = 0.0
    for row, low in zip(found.bins(), range(BINS), strict=True):
        inside = (said >= low / 10) & ((said < (low + 1) / 10) | (low == 9))
        assert (row["low"], row["high"], row["pixels"]) == (low / 10, (low + 1) / 10, inside.sum())
        if inside.any():
            assert row["mean_confidence"] == pytest.approx(said[inside].mean())
            assert row["share_right"] == pytest.approx(right[inside].mean())
            gaps += inside.mean() * abs(said[inside].mean() - right[inside].mean())
        else:
            assert row["mean_confidence"] is row["share_right"] is None
    assert found.calibration_error == pytest.approx(gaps, abs=1e-9)
    json.dumps(found.bins(), allow_nan=False)


@given(judged())
def test_the_calibration_error_agrees_with_torchmetrics(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    said, right = pixels
    # away from the bins' edges, which torchmetrics gives to the other bin and rounds to 32 bits
    said = np.clip(np.floor(said * 10), 0, 9) / 10 + 0.02 + said * 0.05
    theirs = binary_calibration_error(torch.from_numpy(said), torch.from_numpy(right).int(), n_bins=10, norm="l1")
    assert reliability(said, right).calibration_error == pytest.approx(theirs.item(), abs=1e-5)


@given(judged(), st.integers(0, 60))
def test_sums_of_parts_are_those_of_all(pixels: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    said, right = pixels
    cut = min(cut, len(said))
    parts = reliability(said[:cut], right[:cut]) + reliability(said[cut:], right[cut:])
    together = reliability(said, right)
    assert parts.count == together.count
    assert parts.brier == pytest.approx(together.brier)
    assert parts.calibration_error == pytest.approx(together.calibration_error, abs=1e-12)
    assert [row["pixels"] for row in parts.bins()] == [row["pixels"] for row in together.bins()]


def test_who_is_always_right_and_sure_has_no_error() -> None:
    right = np.array([True, False, True, True])
    assert whole(right.astype(float), right) == (0, 0.1875, 0, 0.75, 0.75)
    assert whole(1 - right.astype(float), right)[0] == 1
    constant = reliability(np.full(4, 0.75), right)
    assert constant.brier == constant.brier_constant
    assert constant.calibration_error == 0


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability(np.array([0.5, wrong]), np.array([True, True]))


@given(judged())
def test_order_of_pixels_does_not_matter(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    said, right = pixels
    assert whole(said[::-1], right[::-1]) == pytest.approx(whole(said, right), abs=1e-12)


@given(chances, st.randoms(use_true_random=False))
def test_rank_correlation_is_pearsons_of_the_ranks(said: np.ndarray, random: object) -> None:
    error = np.array([random.choice(range(8)) for _ in said], dtype=np.float64)  # type: ignore[attr-defined]
    found = rank_correlation(said, error)
    if len(set(said)) < 2 or len(set(error)) < 2:
        assert found is None
        return
    assert found == pytest.approx(pearsonr(rankdata(said), rankdata(-error)).statistic, abs=1e-9)
    assert rank_correlation(said**3 / 2, error * 3 + 1) == pytest.approx(rank_correlation(said**3, error), abs=1e-9)


def test_rank_correlation_of_a_perfect_order() -> None:
    error = np.array([3, 1, 200, 16], dtype=np.uint8)
    assert rank_correlation(np.array([0.6, 0.9, 0.1, 0.5]), error) == pytest.approx(1)
    assert rank_correlation(np.array([0.1, 0.0, 0.9, 0.5]), error) == pytest.approx(-1)
    assert rank_correlation(np.full(4, 0.5), error) is None
    assert rank_correlation(np.empty(0), np.empty(0)) is None


def test_nothing_of_the_pixels_is_kept() -> None:
    many = reliability(np.linspace(0, 1, 100_000), np.ones(100_000, bool))
    assert isinstance(many, Reliability)
    assert sum(part.nbytes for part in (many.pixels, many.confidence, many.right)) == 3 * 8 * BINS
