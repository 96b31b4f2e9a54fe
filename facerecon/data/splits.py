"""Which identity belongs to which split: a function of the identity's name alone, so that growth moves nobody."""

from facerecon.data.manifest import SPLITS
from facerecon.data.settings import SplitShares
from facerecon.errors import FaceReconError
from facerecon.randomness import unit_interval


def split_of(identity: str, shares: SplitShares, allowed: tuple[str, ...] = SPLITS) -> str:
    """The split of an identity, by hash; over many identities the splits have ``shares``.

    Only ``allowed`` ones are chosen from, in proportion to their shares: a source's official partition comes first.

    Raises:
        FaceReconError: the shares of all allowed splits are 0.
    """
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
