"""Numbers as people read them."""

import pytest

from facerecon.report.formats import bytes_text, count_text, decibel_text, signed_text


def test_differences_have_signs() -> None:
    assert [signed_text(value) for value in (1.26, -1.26, 0.04, -0.04)] == ["+1.3", "−1.3", "0.0", "0.0"]


def test_counts_and_sizes() -> None:
    assert [count_text(value) for value in (0, 6312, 1_940_000, 31_900_000)] == ["0", "6,312", "1.94 M", "31.9 M"]
    assert [bytes_text(value) for value in (512, 7_823_411)] == ["0.5 kB", "7.8 MB"]


@pytest.mark.parametrize(("value", "shown"), [(18.94, "18.9"), (None, "∞"), (float("inf"), "∞")])
def test_decibels(value: float | None, shown: str) -> None:
    assert decibel_text(value) == shown
