"""Which identity belongs to which split: a function of the identity's name alone, so that growth moves nobody."""

import math
from difflib import get_close_matches

import pandas as pd

from facerecon.data.manifest import SPLITS
from facerecon.data.people import person_name
from facerecon.data.settings import SplitShares
from facerecon.errors import FaceReconError
from facerecon.randomness import unit_interval

CERTAINTY = 0.95
"""How certain somebody is in each split with as many people as an error asks for."""


def split_of(identity: str, shares: SplitShares, allowed: tuple[str, ...] = SPLITS) -> str:
    """The split of an identity: the one it is assigned to by name, else by hash, so that the splits have ``shares``.

    Only ``allowed`` ones are chosen from, in proportion to their shares: a source's official partition comes first.

    Raises:
        FaceReconError: the shares of all allowed splits are 0, or the identity is assigned to none of them.
    """
    if chosen := shares.assigned.get(person_name(identity)) if shares.assigned else None:
        if chosen not in allowed:
            raise FaceReconError(
                f"data.splits.people puts '{identity}' into {chosen}, but the source's own partition has them in "
                f"{' or '.join(allowed)}: take the name out"
            )
        return chosen
    weights = [getattr(shares, name) for name in allowed]
    if not sum(weights):
        raise FaceReconError(
            f"data.splits: {', '.join(allowed)} have no share, but the source's own partition puts photos there: "
            "give one of them a share"
        )
    point, bound = unit_interval("split", identity) * sum(weights), 0.0
    for name, weight in zip(allowed, weights, strict=True):
        bound += weight
        if point < bound:
            return name
    return allowed[-1]


def check_names(faces: pd.DataFrame, shares: SplitShares) -> None:
    """See that there is a photo of everybody whom ``shares.people`` names; ``faces`` has ``identity``.

    Raises:
        FaceReconError: there is none of somebody.
    """
    # of several sources an identity may have its source's name before it
    names = {name for identity in faces["identity"] for name in (identity, identity.partition(":")[2])}
    if gone := sorted(shares.assigned.keys() - {person_name(name) for name in names}):
        close = get_close_matches(gone[0], sorted(names), n=1)
        meant = f": did you mean '{close[0]}'?" if close else ", or none that can be used: take the name out"
        raise FaceReconError(f"data.splits.people: there is no photo of '{gone[0]}'{meant}")


def check_splits(faces: pd.DataFrame, shares: SplitShares) -> None:
    """See that somebody is in each split, before anything is computed; ``faces`` has ``identity`` and ``split``.

    Raises:
        FaceReconError: a split has nobody.
    """
    if lacking := splits_without_people(faces, shares):
        raise FaceReconError(lacking)


def splits_without_people(faces: pd.DataFrame, shares: SplitShares) -> str:
    """Which splits have nobody, how many people each has, how many it takes, and the setting that helps; "" if each
    has somebody."""
    people = faces.drop_duplicates("identity")
    counts = {split: int((people["split"] == split).sum()) for split in SPLITS}
    if not (empty := [split for split in SPLITS if not counts[split]]):
        return ""
    by_name = ", ".join(f"{split}: [NAME]" for split in empty)
    return (
        f"nobody is in {' and '.join(empty)}, and each split needs somebody: of {len(people)} people "
        f"{', '.join(f'{count} are in {split}' for split, count in counts.items())}. By these shares it takes about "
        f"{people_needed(shares)} people: give more, or assign some by name: data.splits.people: {{{by_name}}}"
    )


def people_needed(shares: SplitShares) -> int:
    """With so many people each split that has a share gets somebody, as certain as ``CERTAINTY``, or more so."""
    chances = [share for name in SPLITS if 0 < (share := getattr(shares, name)) < 1]
    number = len(chances)
    while sum((1 - chance) ** number for chance in chances) > 1 - CERTAINTY:
        number = max(number + 1, math.ceil(number * 1.02))
    return number
