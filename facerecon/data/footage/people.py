"""Which tracks show one person, in one clip or in several.

Tracks are joined by agglomerative clustering with average linkage on the cosine of their mean embeddings. Two tracks
that were there at the same time in one clip are two people, however alike they look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

_NEVER = 1e9
"""A distance that no mean over pairs brings back under the threshold."""


@dataclass(frozen=True)
class Seen:
    """One track: its ``clip`` and its ``name`` (unique), seconds ``first`` to ``last``, unit ``embedding`` [D]."""

    clip: str
    name: str
    first: float
    last: float
    embedding: NDArray[np.float32]


def name_people(tracks: Sequence[Seen], similarity: float) -> list[str]:
    """The identity of each track: the name of the first track of that person, as ``tracks`` are in order.

    Tracks are joined while the mean cosine between two groups is at least ``similarity``. Since a person is called by
    the first track, clips that are added behind the others change no name, unless they show that two are one.
    """
    if len(tracks) < 2:
        return [track.name for track in tracks]
    embeddings = np.stack([track.embedding for track in tracks]).astype(np.float64)
    distances = 1 - embeddings @ embeddings.T
    clips = np.array([track.clip for track in tracks])
    first, last = (np.array(times) for times in zip(*((track.first, track.last) for track in tracks), strict=True))
    together = (clips[:, None] == clips) & (first[:, None] <= last) & (first <= last[:, None])
    distances[together] = _NEVER
    np.fill_diagonal(distances, 0)
    # rounding must not make the matrix asymmetric, nor a distance of alike tracks negative
    distances = np.maximum(distances, distances.T).clip(0)
    tree = linkage(squareform(distances, checks=False), "average")
    groups = fcluster(tree, 1 - similarity, "distance")
    names: dict[int, str] = {}
    return [names.setdefault(int(group), track.name) for group, track in zip(groups, tracks, strict=True)]
