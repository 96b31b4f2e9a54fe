"""Which identity belongs to which split: a function of the identity's name alone, so that growth moves nobody."""

from facerecon.config.data import SplitShares
from facerecon.data.manifest import SPLITS
from facerecon.randomness import unit_interval


def split_of(identity: str, shares: SplitShares) -> str:
    """The split of an identity, by hash; over many identities the splits have ``shares``."""
    point = unit_interval("split", identity)
    bound = 0.0
    for name in SPLITS:
        bound += getattr(shares, name)
        if point < bound:
            return name
    return SPLITS[-1]
