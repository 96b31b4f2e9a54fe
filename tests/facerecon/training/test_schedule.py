"""The learning rate's schedule."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.training.schedule import learning_rate
from facerecon.training.settings import OptimizerSettings


@given(
    steps=st.integers(1, 500),
    warmup=st.integers(0, 100),
    high=st.floats(1e-6, 1),
    share=st.floats(0, 1),
)
def test_learning_rate_warms_up_and_then_only_falls(steps: int, warmup: int, high: float, share: float) -> None:
    rates_end = {"learning_rate": high, "final_learning_rate": high * share}
    warmup = min(warmup, steps)
    settings = OptimizerSettings(steps=steps, warmup_steps=warmup, **rates_end)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 <= rate <= high * (1 + 1e-12) for rate in rates)
    assert rates[0] > 0
    assert all(before < after for before, after in pairwise(rates[:warmup]))
    assert all(before >= after for before, after in pairwise(rates[warmup:]))


def test_learning_rate_is_a_line_and_half_a_cosine() -> None:
    settings = OptimizerSettings(steps=111, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    assert learning_rate(0, settings) == pytest.approx(1e-4)
    assert learning_rate(9, settings) == learning_rate(10, settings) == pytest.approx(1e-3)
    assert learning_rate(60, settings) == pytest.approx((1e-3 + 1e-5) / 2), "half way through the cosine"
    assert learning_rate(110, settings) == pytest.approx(1e-5), "the last step"
