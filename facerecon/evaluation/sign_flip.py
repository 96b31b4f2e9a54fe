"""How sure a gain is that is looked for again and again: the sign-flip test over people, inverted to an interval.

A bootstrap of a few thousand draws knows nothing of a tail of 1 in 40,000, and with a dozen people its intervals are
too narrow there. Were two models equal, each person's difference would be as likely to have the other sign: of that all
2^n ways are counted, by dynamic programming over a grid of integers, so nothing is drawn and nothing approximated that
could make an interval too narrow.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facerecon.evaluation.bootstrap import Interval, fewest_identities, sums_of_people

CELLS = 20_000
"""So many steps of the grid the people's distances from the mean have together; more where there are many people."""

CLOSE = 0.02
"""The ends are found as closely as this share of the standard error, always on the outer side."""

DOUBLINGS = 1_000
"""So many times a number of ways can double before it is too large for a float."""


def sign_flip_interval(differences: ArrayLike, identities: ArrayLike, confidence: float) -> Interval:
    """The mean of paired ``differences`` [N], one a face, and its interval of ``confidence`` in (0, 1), at any level.

    ``identities`` [N] names each face's person. The interval holds each mean that a two-sided sign-flip test of that
    confidence does not reject, with the signs of all of a person's faces flipped together. It presumes that what a
    person's difference has above the mean it is as likely to have below it. The same faces in any order give the same
    interval, bit for bit; ``low`` and ``high`` are None with fewer people than ``fewest_identities``.

    Raises ValueError if there is no face, if the lengths differ, or if a difference is not finite.
    """
    sums, faces = sums_of_people(differences, identities)
    mean = math.fsum(sums) / int(faces.sum())
    if len(sums) < fewest_identities(confidence):
        return Interval(mean, None, None, len(sums))
    tail = (1 - confidence) / 2
    return Interval(mean, _low(sums, faces, mean, tail), -_low(-sums, faces, -mean, tail), len(sums))


def _low(sums: NDArray[np.float64], faces: NDArray[np.int64], mean: float, tail: float) -> float:
    """The largest mean found, to within CLOSE, of which the test says that the true one lies above it."""
    apart = sums - mean * faces
    spread = math.fsum(np.abs(apart))
    if spread <= 1e-12 * math.fsum(np.abs(sums)):
        return mean  # all people differ alike
    step = spread / max(CELLS, 8 * len(sums) ** 1.5)
    close = CLOSE * math.sqrt(math.fsum(apart**2)) / int(faces.sum())
    # below everybody's own mean only the empty set of people flips to nothing: rejected
    rejected, kept = float((sums / faces).min()) - 1.01 * step / int(faces.min()), mean
    while kept - rejected > close:
        middle = (rejected + kept) / 2
        if _flipped(np.floor((sums - middle * faces) / step).astype(np.int64)) <= tail:
            rejected = middle
        else:
            kept = middle
    return rejected


def _flipped(cells: NDArray[np.int64]) -> float:
    """The share of all sets of people, the empty one too, whose ``cells`` [n] sum to 0 or less.

    Flipping the signs of such a set makes the sum no smaller, and the test counts these. Distances that were rounded
    down make the share larger, never smaller. Where a cell is negative the set's complement is counted, so that one
    table of sums up to the negatives' suffices.
    """
    most = -int(cells[cells < 0].sum())
    ways = np.zeros(most + 1)
    ways[0] = 1.0
    for place, cell in enumerate(np.abs(cells)):
        if cell <= most:
            ways[cell:] += ways[: most + 1 - cell].copy()
        if place >= DOUBLINGS:
            ways *= 0.5
    return math.ldexp(float(ways.sum()), -min(len(cells), DOUBLINGS))
