"""The sign-flip interval: exact against all sets of people, and safe where a gain is looked for again and again."""

import itertools
import time

import numpy as np
import pytest

from facerecon.evaluation import sign_flip
from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.promotion import gain_confidence
from facerecon.evaluation.sign_flip import sign_flip_interval

RNG = np.random.default_rng(5)
MARGIN = 0.05
NOISE = 0.5
"""dB by which a person's difference of two equal models scatters."""


def people_of(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def exact(values: np.ndarray, people: np.ndarray, confidence: float) -> tuple[float, float]:
    """The ends as quantiles of the means over all sets of people."""
    names = np.unique(people)
    sums = np.array([values[people == person].sum() for person in names])
    faces = np.array([(people == person).sum() for person in names])
    sets = [np.array(chosen) for chosen in itertools.product([False, True], repeat=len(names)) if any(chosen)]
    means = sorted(sums[chosen].sum() / faces[chosen].sum() for chosen in sets)
    rejected = int((1 - confidence) / 2 * 2 ** len(names))
    return means[rejected - 1], means[-rejected]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_it_is_the_interval_that_all_sets_of_people_give(confidence):
    people = people_of([1, 3, 2, 1, 1, 2, 3, 1, 2, 1])
    values = RNG.normal(0.1, 1, 10)[people] + RNG.normal(0, 0.2, len(people))
    low, high = exact(values, people, confidence)
    found = sign_flip_interval(values, people, confidence)
    error = 0.03 * np.std(values) / np.sqrt(10)
    assert low - error <= found.low <= low
    assert high <= found.high <= high + error
    assert found.mean == pytest.approx(values.mean())
    assert found.identities == 10


def test_the_grid_never_makes_it_narrower(monkeypatch):
    """On a coarse grid, and with ends as close as it allows."""
    monkeypatch.setattr(sign_flip, "CELLS", 0)
    monkeypatch.setattr(sign_flip, "CLOSE", 1e-6)
    people = people_of([2] * 8)
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0, 1, 16)
        low, high = exact(values, people, 0.95)
        found = sign_flip_interval(values, people, 0.95)
        assert found.low <= low
        assert high <= found.high


def test_neither_the_order_of_faces_nor_that_of_people_changes_it():
    people = people_of([2] * 12)
    values = RNG.normal(0, 1, 24)
    order = RNG.permutation(24)
    assert sign_flip_interval(values[order], people[order], 0.99) == sign_flip_interval(values, people, 0.99)


def test_the_other_way_round_it_is_the_same_interval_with_the_other_sign():
    values, people = RNG.normal(0.2, 1, 30), people_of([2] * 15)
    found, turned = sign_flip_interval(values, people, 0.98), sign_flip_interval(-values, people, 0.98)
    assert (turned.low, turned.high) == (-found.high, -found.low)


def test_where_all_people_gain_alike_the_interval_is_the_gain():
    found = sign_flip_interval(np.full(24, 0.3), people_of([2] * 12), 0.99)
    assert (found.low, found.mean, found.high) == pytest.approx((0.3, 0.3, 0.3))


@pytest.mark.parametrize(("people", "confidence"), [(6, 0.975), (7, 0.992), (15, 1 - 0.05 / 930)])
def test_with_too_few_people_for_the_level_there_is_none(people, confidence):
    values = np.full(people, 0.3)
    found = sign_flip_interval(values, np.arange(people), confidence)
    assert (found.low, found.high, found.identities) == (None, None, people)
    assert sign_flip_interval(np.full(people + 1, 0.3), np.arange(people + 1), confidence).low == pytest.approx(0.3)


def test_many_people_take_no_time_and_more_than_a_thousand_no_overflow():
    values = RNG.normal(0.1, 0.3, 200)
    begun = time.process_time()
    found = sign_flip_interval(values, np.arange(200), 0.999)
    assert time.process_time() - begun < 1
    error = np.std(values) / np.sqrt(200)
    assert found.low == pytest.approx(values.mean() - 3.29 * error, abs=0.3 * error)
    values = np.tile(values, 6)
    found = sign_flip_interval(values, np.arange(1200), 0.9)
    error = np.std(values) / np.sqrt(1200)
    assert found.low == pytest.approx(values.mean() - 1.645 * error, abs=0.3 * error)


@pytest.mark.parametrize("values", [[], [1.0], [np.nan] * 3])
def test_what_is_no_set_of_differences_is_refused(values):
    with pytest.raises(ValueError, match=r"identity per difference|not finite"):
        sign_flip_interval(values, [1, 2, 3], 0.9)


# -------------------------------------------------------------------------------------------- again and again


def series(seed: int, gain: float = 0.0) -> tuple[bool, bool]:
    """Whether any of 30 challengers is promoted: by the gain's sequential level, and by one of 0.95 each time.

    The gate has 12 to 25 people, on whom all challengers gain ``gain`` but for noise.
    """
    rng = np.random.default_rng(seed)
    people = np.arange(int(rng.integers(12, 26)))
    promoted = at_95 = False
    for looks in range(1, 31):
        difference = rng.normal(gain, NOISE, len(people))
        if difference.mean() < MARGIN:
            continue
        low = sign_flip_interval(difference, people, gain_confidence(looks)).low
        promoted |= low is not None and low > 0
        if not at_95:
            low = paired_interval(difference, people, 2000, 0.95, 0).low
            at_95 = low is not None and low > 0
    return promoted, at_95


@pytest.mark.slow
def test_of_series_of_equal_challengers_hardly_any_promotes():
    promoted, at_95 = np.array([series(seed) for seed in range(200)]).T
    assert promoted.mean() <= 0.05
    assert at_95.mean() > 0.4, "and that is not so because nothing would be promoted at all"


def test_a_true_gain_is_promoted():
    assert np.mean([series(seed, gain=0.5)[0] for seed in range(20)]) == 1
