"""How sure a mean difference of two models is: a bootstrap over people, because photos of one person are alike."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facerecon.randomness import generator


@dataclass(frozen=True)
class Interval:
    """A mean over faces and where it may lie; ``low`` and ``high`` are None where too few people can tell."""

    mean: float
    low: float | None
    high: float | None
    identities: int


def fewest_identities(confidence: float) -> int:
    """With fewer people than this no interval of such a confidence is given: 6 at 0.95.

    Were there no difference, all of n people would still lie on the same side with probability 2 * 0.5^n.
    """
    return math.ceil(1 - math.log2(1 - confidence))


def paired_interval(
    differences: ArrayLike, identities: ArrayLike, resamples: int, confidence: float, seed: int
) -> Interval:
    """The mean of paired ``differences`` [N], one a face, and its interval of ``confidence`` in (0, 1).

    ``identities`` [N] names each face's person. ``resamples`` times as many people as there are are drawn with
    replacement, each with all their faces, and the mean over the drawn faces is taken. The interval lies between two
    quantiles of these means, expanded for few people as in Hesterberg, "What Teachers Should Know About the
    Bootstrap", 2015, section 5.1: plain quantiles are too narrow by the factor sqrt((n - 1) / n) and take the normal
    distribution for Student's t. The same faces in any order give the same interval, bit for bit.

    Raises ValueError if there is no face, if the lengths differ, or if a difference is not finite.
    """
    sums, faces = sums_of_people(differences, identities)
    mean = math.fsum(np.asarray(differences, dtype=np.float64)) / int(faces.sum())
    if len(sums) < fewest_identities(confidence):
        return Interval(mean, None, None, len(sums))
    low, high = np.quantile(_resampled(sums, faces, resamples, seed), _expanded(len(sums), confidence))
    return Interval(mean, float(low), float(high), len(sums))


def sums_of_people(differences: ArrayLike, identities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Each person's sum of ``differences`` [N] and number of faces, in order of their names.

    Raises ValueError if there is no face, if the lengths differ, or if a difference is not finite.
    """
    values, people = np.asarray(differences, dtype=np.float64), np.asarray(identities)
    if values.ndim != 1 or values.shape != people.shape or not len(values):
        raise ValueError(f"one identity per difference is needed, not {people.shape} for {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    names = np.unique(people)
    # exact sums, so that the order of the faces cannot matter
    sums = np.array([math.fsum(values[people == name]) for name in names])
    return sums, np.array([np.count_nonzero(people == name) for name in names])


def _resampled(sums: NDArray[np.float64], faces: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Means [resamples] over the faces of people drawn with replacement; each person's sum and number of faces [n]."""
    people = len(sums)
    times = generator("bootstrap", seed).multinomial(people, np.full(people, 1 / people), size=resamples)
    return (times @ sums) / (times @ faces)


def _expanded(people: int, confidence: float) -> tuple[float, float]:
    """The two quantiles between which the expanded interval lies."""
    # imported when it is used: it takes a second, and who only reads a decision does not need it
    from scipy.stats import norm, t

    wide = math.sqrt(people / (people - 1)) * t.ppf((1 + confidence) / 2, people - 1)
    tail = float(norm.cdf(-wide))
    return tail, 1 - tail
