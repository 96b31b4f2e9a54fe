"""How far a model's confidence can be trusted: does what it says happen, and does it tell pixels apart?

Confidence is the probability that a hole pixel is right, that is, that its error is at most
``facerecon.models.base.RIGHT``. Pixels are counted into bins of confidence as they come and not
kept, so that memory does not grow with their number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import spearmanr

BINS = 10
EDGES = np.arange(BINS + 1) / BINS
"""Each bin holds its lower edge, the last one its upper edge too."""


@dataclass(frozen=True)
class Reliability:
    """Sums over pixels: for each bin [BINS] their number, their confidence and how many are right; and the squares.

    ``squares`` is the sum of (confidence - outcome)², the outcome being 1 for a right pixel and 0 for any other.
    """

    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.int64]
    squares: float

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.pixels + other.pixels,
            self.confidence + other.confidence,
            self.right + other.right,
            self.squares + other.squares,
        )

    @property
    def count(self) -> int:
        """The number of pixels. Without any, no other figure is defined."""
        return int(self.pixels.sum())

    @property
    def mean_confidence(self) -> float:
        """What the model says on average."""
        return float(self.confidence.sum()) / self.count

    @property
    def share_right(self) -> float:
        """What is so on average."""
        return int(self.right.sum()) / self.count

    @property
    def brier(self) -> float:
        """Brier score (Brier, 1950): the mean squared difference of confidence and outcome; 0 is best, 1 worst."""
        return self.squares / self.count

    @property
    def brier_constant(self) -> float:
        """The Brier score of always saying ``share_right``: what confidence must beat to tell pixels apart."""
        return self.share_right * (1 - self.share_right)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (Naeini et al., 2015): each bin's gap of confidence and share right, by pixels."""
        return float(np.abs(self.confidence - self.right).sum()) / self.count

    def bins(self) -> list[dict[str, Any]]:
        """For JSON, a row for each bin: its edges, pixels, mean confidence and share right (None if it is empty)."""
        return [
            {
                "low": float(EDGES[index]),
                "high": float(EDGES[index + 1]),
                "pixels": int(pixels),
                "mean_confidence": float(self.confidence[index] / pixels) if pixels else None,
                "share_right": float(self.right[index] / pixels) if pixels else None,
            }
            for index, pixels in enumerate(self.pixels)
        ]


def reliability(confidence: NDArray[Any], right: NDArray[np.bool_]) -> Reliability:
    """The sums over pixels of ``confidence`` [P] in [0, 1] of which those are right that ``right`` [P] says.

    Raises:
        ValueError: a confidence is no probability.
    """
    said, outcome = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if not ((said >= 0) & (said <= 1)).all():
        raise ValueError("confidence must lie between 0 and 1")
    place = np.searchsorted(EDGES[1:-1], said, side="right")
    return Reliability(
        np.bincount(place, minlength=BINS),
        np.bincount(place, said, BINS).astype(np.float64),
        np.bincount(place[outcome], minlength=BINS),
        float(np.square(said - outcome).sum()),
    )


def rank_correlation(confidence: NDArray[Any], error: NDArray[Any]) -> float | None:
    """Spearman's rank correlation of ``confidence`` [P] with minus ``error`` [P]: 1 if the surest pixels are the best.

    None where it is not defined: all confidences or all errors are equal.
    """
    if len(confidence) == 0 or np.ptp(confidence) == 0 or np.ptp(error) == 0:
        return None
    return float(spearmanr(confidence, -np.asarray(error, dtype=np.float64)).statistic)


def platt_scaling(logits: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shift of log-odds [N] under which outcomes ``right`` [N] (1 or 0) are most likely.

    Platt, "Probabilistic outputs for support vector machines", 1999. A negative scale would turn the ranking round: the
    log-odds are shifted only, then. Without outcomes of both kinds there is nothing to learn: (1, 0).
    """
    if not 0 < right.mean() < 1:
        return 1.0, 0.0

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        *scale, shift = parameters
        scaled = (scale[0] if scale else 1.0) * logits + shift
        wrong = expit(scaled) - right
        likelihood = right * log_expit(scaled) + (1 - right) * log_expit(-scaled)
        slope = [(wrong * logits).mean()] if scale else []
        return -float(likelihood.mean()), np.array([*slope, wrong.mean()])

    scale, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    if scale <= 0:
        (shift,), scale = minimize(loss, np.array([0.0]), jac=True, method="BFGS").x, 1.0
    return float(scale), float(shift)
