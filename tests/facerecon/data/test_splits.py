"""Splits: by the identity's name alone, in the shares asked for."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.manifest import SPLITS
from facerecon.data.settings import SplitShares
from facerecon.data.splits import check_names, check_splits, people_needed, split_of
from facerecon.errors import FaceReconError

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


def test_people_assigned_by_name_are_where_they_were_put_and_move_nobody_else() -> None:
    shares = SplitShares(people={"val": ("Bob", "Chloe\u0301"), "test": ("大樹",)})
    assert [split_of(name, shares) for name in ("Bob", "Chloé", "大樹", "Ada")] == ["val", "val", "test", "val"]
    others = [f"person_{number:05d}" for number in range(500)]
    assert [split_of(name, shares) for name in others] == [split_of(name, SplitShares()) for name in others]


def test_a_sources_partition_is_not_overruled_by_a_name() -> None:
    shares = SplitShares(people={"val": ("Ada",)})
    assert split_of("Ada", shares, ("val", "gate", "test")) == "val"
    with pytest.raises(FaceReconError, match=r"people puts 'Ada' into val, but .* partition has them in train: take"):
        split_of("Ada", shares, ("train",))


def faces(**people: str) -> pd.DataFrame:
    """Two photos of each person in a split."""
    rows = [(name, split) for name, split in people.items() for _ in range(2)]
    return pd.DataFrame(rows, columns=["identity", "split"])


def test_a_split_without_anybody_is_told_with_the_people_of_each_and_the_setting_that_helps() -> None:
    few = faces(a="train", b="train", c="train", d="train", e="test", f="train")
    with pytest.raises(FaceReconError) as caught:
        check_splits(few, SplitShares())
    assert caught.value.message == (
        "nobody is in val and gate, and each split needs somebody: of 6 people 5 are in train, 0 are in val, 0 are in "
        "gate, 1 are in test. By these shares it takes about 39 people: give more, or assign some by name: "
        "data.splits.people: {val: [NAME], gate: [NAME]}"
    )
    check_splits(faces(a="train", b="val", c="gate", d="test"), SplitShares())


def test_a_name_of_whom_there_is_no_photo_is_told_with_the_one_that_was_meant() -> None:
    there = faces(Ada="train", Bob="val", cc="gate", **{"lfw:Eve": "test"})
    check_names(there, SplitShares(people={"train": ("Ada",), "test": ("Eve",)}))
    with pytest.raises(FaceReconError, match="there is no photo of 'Adaa': did you mean 'Ada'"):
        check_names(there, SplitShares(people={"val": ("Adaa",)}))
    with pytest.raises(FaceReconError, match="no photo of 'Zacharias', or none that can be used: take the name out"):
        check_names(there, SplitShares(people={"val": ("Zacharias",)}))


@pytest.mark.parametrize(
    ("shares", "needed"), [({}, 39), (dict.fromkeys(SPLITS, 0.25), 16), ({"train": 0.97, "val": 0.01}, 0)]
)
def test_so_many_people_it_takes_fill_every_split_as_often_as_promised(shares: dict[str, float], needed: int) -> None:
    if needed == 0:
        shares = {"train": 0.97, "val": 0.01, "gate": 0.01, "test": 0.01}
    asked = SplitShares(**shares)
    count = people_needed(asked)
    assert not needed or count == needed
    full = sum({split_of(f"{trial}/{number}", asked) for number in range(count)} == set(SPLITS) for trial in range(400))
    assert full / 400 > 0.95 - 4 * (0.95 * 0.05 / 400) ** 0.5


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
