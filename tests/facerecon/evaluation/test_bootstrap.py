"""The interval of a mean difference: how often it holds the truth, and what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.evaluation.bootstrap import fewest_identities, paired_interval


def simulated(people: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of one to five photos a person: what is common to a person's photos outweighs what is not."""
    rng = np.random.default_rng([people, seed])
    photos = rng.integers(1, 6, people)
    names = np.repeat([f"person {number}" for number in range(people)], photos)
    return effect + np.repeat(rng.normal(0, 1, people), photos) + rng.normal(0, 0.5, photos.sum()), names


@pytest.mark.parametrize("people", [6, 12, 40])
def test_the_interval_holds_the_true_difference_about_as_often_as_it_says(people):
    found = [paired_interval(*simulated(people, 0.3, seed), 400, 0.9, seed) for seed in range(500)]
    held = np.mean([interval.low <= 0.3 <= interval.high for interval in found])
    # 500 draws: three standard errors are 0.04; with six people up to 0.05 is lost to skew
    assert 0.81 <= held <= 0.94


def test_photos_of_few_people_do_not_pass_for_many_people():
    """As if every photo were a person of its own, the interval would hold the truth far too seldom."""
    held = {True: 0, False: 0}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(0, 1, 10), 20) + rng.normal(0, 0.1, 200)
        for by_person in held:
            names = np.repeat(np.arange(10), 20) if by_person else np.arange(200)
            interval = paired_interval(values, names, 300, 0.95, seed)
            held[by_person] += interval.low <= 0 <= interval.high
    assert held[False] < 150
    assert held[True] > 270


def test_no_gain_seldom_passes_for_one_and_a_clear_one_always_does():
    lows = [paired_interval(*simulated(12, 0.0, seed), 400, 0.95, seed).low for seed in range(500)]
    assert np.mean(np.array(lows) > 0) < 0.055
    lows = [paired_interval(*simulated(30, 1.5, seed), 400, 0.95, seed).low for seed in range(50)]
    assert min(lows) > 0


@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(st.floats(-100, 100), st.sampled_from("abcdefghijkl")), min_size=1, max_size=40),
    seed=st.integers(0, 100),
    shuffle=st.randoms(use_true_random=False),
)
def test_it_is_deterministic_and_blind_to_the_order_of_faces(rows, seed, shuffle):
    first = paired_interval([value for value, _ in rows], [name for _, name in rows], 100, 0.95, seed)
    shuffle.shuffle(rows)
    assert paired_interval([value for value, _ in rows], [name for _, name in rows], 100, 0.95, seed) == first
    assert first.mean == pytest.approx(np.mean([value for value, _ in rows]), abs=1e-9)
    assert first.identities == len({name for _, name in rows})
    if first.low is None:
        assert first.identities < 6
    else:
        assert min(value for value, _ in rows) - 1e-9 <= first.low <= first.high
        assert first.high <= max(value for value, _ in rows) + 1e-9


def test_not_even_rounding_depends_on_the_order_of_faces():
    rng = np.random.default_rng(0)
    values, names = rng.normal(0, 1, 400), np.arange(400) % 8
    order = rng.permutation(400)
    assert paired_interval(values[order], names[order], 100, 0.95, 0) == paired_interval(values, names, 100, 0.95, 0)


def test_pairing_takes_out_what_both_models_find_hard():
    """Faces differ by 10 dB, the two models by 0.1 on each: unpaired that would drown."""
    rng = np.random.default_rng(0)
    hard, names = rng.normal(20, 10, 24), np.arange(24) // 2
    interval = paired_interval(hard + 0.1 - hard, names, 500, 0.95, 0)
    assert (interval.low, interval.mean, interval.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_person_counts_with_all_faces():
    values, names = [1.0] * 8 + [0.0] * 7, ["often"] * 8 + list("abcdefg")
    assert paired_interval(values, names, 100, 0.95, 0).mean == pytest.approx(8 / 15)


def test_another_seed_draws_others():
    values, names = simulated(12, 0.0, 1)
    assert paired_interval(values, names, 200, 0.95, 0) != paired_interval(values, names, 200, 0.95, 1)


@pytest.mark.parametrize(("confidence", "people"), [(0.5, 2), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_too_few_people_cannot_tell(confidence, people):
    assert fewest_identities(confidence) == people
    assert paired_interval(np.ones(people), np.arange(people), 100, confidence, 0).low == 1
    fewer = paired_interval(np.ones(people - 1), np.arange(people - 1), 100, confidence, 0)
    assert (fewer.mean, fewer.low, fewer.high, fewer.identities) == (1, None, None, people - 1)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]])
def test_what_is_no_set_of_differences_is_refused(values):
    with pytest.raises(ValueError, match=r"identity per difference|not finite"):
        paired_interval(values, ["a", "b"], 100, 0.95, 0)
