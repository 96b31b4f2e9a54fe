"""Metrics and keys: one spelling, one order, and which of two figures is better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.evaluation.keys import Metric, MetricKey

HIGHER = Metric(name="hole_psnr", label="hole PSNR", unit="dB", digits=2)
LOWER = Metric(name="nme", label="error", higher_is_better=False)
figures = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("key", "spelt"),
    [
        (MetricKey("test", "hole_psnr", "brush", 2), "test/hole_psnr/brush_level_2"),
        (MetricKey("gate", "lpips_vgg", "held_out", 1), "gate/lpips_vgg/held_out_level_1"),
        (MetricKey("test_dark", "identity_dlib", "features/nose"), "test_dark/identity_dlib/features_nose"),
        (MetricKey("test", "nme", "plain", 0), "test/nme/plain_level_0"),
    ],
)
def test_a_key_has_one_spelling(key: MetricKey, spelt: str) -> None:
    assert str(key) == spelt
    assert spelt.endswith(f"/{key.case_name}")


def test_keys_are_ordered_by_face_set_metric_case_and_level() -> None:
    keys = [
        MetricKey("gate", "ssim", "brush", 3),
        MetricKey("test", "hole_psnr", "brush"),
        MetricKey("test", "hole_psnr", "brush", 2),
        MetricKey("test", "hole_psnr", "brush", 10),
        MetricKey("test", "hole_psnr", "noise", 1),
        MetricKey("test", "ssim", "boxes", 1),
    ]
    assert sorted({*keys}) == keys
    assert len({*keys, MetricKey("gate", "ssim", "brush", 3)}) == len(keys)


def test_a_metric_says_where_better_is() -> None:
    assert (HIGHER.arrow, LOWER.arrow) == ("↑", "↓")
    assert (HIGHER.titled, LOWER.titled) == ("hole PSNR, dB", "error")
    assert HIGHER.gain(20.5, 20) == LOWER.gain(20, 20.5) == 0.5


@given(figures, figures)
def test_a_gain_has_the_direction_of_the_metric(ours: float, theirs: float) -> None:
    for metric in (HIGHER, LOWER):
        assert metric.gain(ours, theirs) == -metric.gain(theirs, ours)
        assert metric.better(ours, theirs) == (metric.gain(ours, theirs) > 0)
        assert not (metric.better(ours, theirs) and metric.better(theirs, ours))
    assert HIGHER.better(ours, theirs) == LOWER.better(theirs, ours)


@pytest.mark.parametrize("metric", [HIGHER, LOWER])
def test_any_number_is_better_than_nan(metric: Metric) -> None:
    assert metric.better(-1e9, math.nan)
    assert metric.better(1e9, math.nan)
    assert not metric.better(math.nan, -1e9)
    assert not metric.better(math.nan, math.nan)
