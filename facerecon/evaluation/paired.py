"""What a change does to a figure, over the same faces. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.comparison import CONFIDENCE, RESAMPLES, SEED


@dataclass(frozen=True)
class Change:
    """Means over ``faces`` before and after, their ``difference``, and its interval ``low`` to ``high`` over people.

    ``low`` and ``high`` are None where too few people (``identities``) can tell.
    """

    faces: int
    identities: int
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None


def change(before: Mapping[str, float], after: Mapping[str, float], people: Mapping[str, str]) -> Change:
    """What becomes of the figure of each face of ``after``, which is at least one; ``before`` may have more.

    ``people`` names each face's person. Raises ValueError where a difference is not finite.
    """
    first, second = np.array([before[face] for face in after]), np.array(list(after.values()))
    found = paired_interval(second - first, [people[face] for face in after], RESAMPLES, CONFIDENCE, SEED)
    means = float(first.mean()), float(second.mean())
    return Change(len(after), found.identities, *means, found.mean, found.low, found.high)
