"""Splits: by the identity's name alone, in the shares asked for."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.manifest import SPLITS
from facerecon.data.settings import SplitShares
from facerecon.data.splits import split_of

NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(NAMES)
def test_a_person_has_one_split_always_the_same(name: str) -> None:
    assert split_of(name, SplitShares()) == split_of(name, SplitShares()) in SPLITS


@given(NAMES, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_of_training_takes_people_but_gives_none_away(name: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    before = split_of(name, SplitShares(train=small, val=1 - small, gate=0, test=0))
    after = split_of(name, SplitShares(train=large, val=1 - large, gate=0, test=0))
    assert (before, after) != ("train", "val")


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.1, 0.1), (0.25, 0.25, 0.25, 0.25), (0.9, 0.0, 0.05, 0.05)])
def test_over_many_people_the_splits_have_their_shares(shares: tuple[float, ...]) -> None:
    asked = SplitShares(**dict(zip(SPLITS, shares, strict=True)))
    counted = Counter(split_of(f"person_{number:05d}", asked) for number in range(5000))
    for name, share in zip(SPLITS, shares, strict=True):
        # four standard deviations of a binomial share of 5000
        assert abs(counted[name] / 5000 - share) <= 4 * (share * (1 - share) / 5000) ** 0.5


@pytest.mark.parametrize("only", SPLITS)
def test_a_share_of_one_takes_everybody(only: str) -> None:
    shares = SplitShares(**{name: float(name == only) for name in SPLITS})
    assert {split_of(str(number), shares) for number in range(200)} == {only}


def test_the_splits_of_these_people_never_change() -> None:
    # published figures rest on who is in which split: a change here makes them incomparable
    people = ["Ada", "Bob", "Chloé", "大樹", "person_0000", "person_0001", "person_0004", "person_0005"]
    assert [split_of(name, SplitShares()) for name in people] == [
        "val",
        "train",
        "train",
        "train",
        "train",
        "train",
        "gate",
        "test",
    ]
