"""Randomness is a function of its keys: the same ones the same numbers, other ones other numbers."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facerecon.randomness import generator, unit_interval

KEYS = st.lists(st.integers() | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8), max_size=4)


@given(KEYS)
def test_the_same_keys_give_the_same_numbers(keys: list) -> None:
    first = generator(*keys)
    np.random.default_rng().random(3)
    assert np.array_equal(first.random(5), generator(*keys).random(5))
    assert unit_interval(*keys) == unit_interval(*keys)
    assert 0 <= unit_interval(*keys) < 1


@given(KEYS, KEYS)
def test_other_keys_give_other_numbers(one: list, other: list) -> None:
    if one != other:
        assert generator(*one).integers(2**63) != generator(*other).integers(2**63)
        assert unit_interval(*one) != unit_interval(*other)


def test_type_order_and_grouping_of_keys_matter() -> None:
    assert (
        len({unit_interval(*keys) for keys in [(1, 2), (2, 1), ("1", 2), (12,), ("1", "2"), ("12",), ("1", "", "2")]})
        == 7
    )


def test_numbers_are_the_same_in_every_process_and_for_ever() -> None:
    expected = f"{unit_interval('split', 'Ada'):.12f} {generator(0, 'order').permutation(5).tolist()}"
    code = (
        "from facerecon.randomness import generator, unit_interval\n"
        "print(f\"{unit_interval('split', 'Ada'):.12f} {generator(0, 'order').permutation(5).tolist()}\")"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == expected == "0.701235266705 [3, 4, 2, 0, 1]"


def test_unit_interval_is_uniform() -> None:
    points = np.array([unit_interval("face", index) for index in range(4000)])
    counts, _ = np.histogram(points, bins=10, range=(0, 1))
    # chi squared with 9 degrees of freedom: above 27.9 once in a thousand, and the keys are fixed
    assert ((counts - 400) ** 2 / 400).sum() < 27.9
