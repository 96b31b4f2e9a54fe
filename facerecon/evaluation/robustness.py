"""What damage of the input does to a model's figures, step by step. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.frozen_degradations import DegradedSet
from facerecon.corruption.presets import CLEAN, robustness_cases
from facerecon.errors import FaceReconError
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.paired import change
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.settings import Settings

PGD, UNIFORM = "pgd", "uniform"
"""The families of an attack by projected gradient descent, and of random noise of the same amplitude."""

EPSILONS = (1, 2, 4)
"""Largest change of a value by an attack, of 255."""

ATTACKED_FACES = 50
"""So many faces are attacked at most."""

UNDISTURBED = "undisturbed"
"""The case that a step is compared with."""


@dataclass(frozen=True)
class Step:
    """A ``family`` of damage at one ``level``: quality, CRF, sigma or epsilon."""

    family: str
    level: int

    @property
    def case(self) -> str:
        """The step's name: ``jpeg_10``."""
        return f"{self.family}_{self.level}"


FROZEN_STEPS = tuple(Step(case.family, case.level) for case in robustness_cases())
"""JPEG, H.264 and noise, whose pixels are frozen."""

ATTACKS = tuple(Step(family, epsilon) for family in (PGD, UNIFORM) for epsilon in EPSILONS)
"""Attacks and the random noise beside them."""


class Disturbed(Settings):
    """A ``metric`` of a ``method`` whose input is damaged by one step, and of the same ``faces`` with it undisturbed.

    ``difference`` is disturbed less undisturbed, with the interval ``low`` to ``high`` of a bootstrap over
    ``identities`` people; None where too few can tell.
    """

    family: str
    level: int
    method: str
    metric: str
    faces: int
    identities: int
    undisturbed: float
    disturbed: float
    difference: float
    low: float | None
    high: float | None

    @property
    def case(self) -> str:
        """The step's name: ``jpeg_10``."""
        return Step(self.family, self.level).case


class Robustness(Settings):
    """All rows, the mildest step of each family first; ``pixels`` is the digest of the frozen pixels."""

    pixels: str
    rows: tuple[Disturbed, ...]

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """What trackers keep: the model's figures with its input disturbed, and by how much that changes them."""
        return {
            MetricKey(face_set, f"{row.metric}_disturbed{what}", row.case): value
            for row in self.rows
            if row.method == MODEL
            for what, value in (("", row.disturbed), ("_difference", row.difference))
        }


def frozen_images(pixels: DegradedSet | None, faces: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """The frozen images uint8 [N, h, w, 3] of some ``faces`` (names), by case: UNDISTURBED, then FROZEN_STEPS.

    Raises:
        FaceReconError: there are none.
    """
    if pixels is None:
        raise FaceReconError("evaluation.robustness is on, but its pixels are not frozen: run the pipeline again")
    cases = {UNDISTURBED: CLEAN.name, **{step.case: step.case for step in FROZEN_STEPS}}
    return {case: pixels.for_faces(preset, faces) for case, preset in cases.items()}


def disturbed_rows(
    scores: Scores,
    face_set: str,
    steps: Sequence[Step],
    metrics: Sequence[Metric],
    people: Mapping[str, str],
) -> tuple[Disturbed, ...]:
    """A row for each step, metric and method of ``scores``, against UNDISTURBED; their cases have no levels.

    A metric's ceiling holds: equal images have no finite PSNR. ``people`` names each face's person.

    Raises:
        FaceReconError: a figure is not a number.
    """
    rows: list[Disturbed] = []
    for step in steps:
        for metric in metrics:
            first, second = (MetricKey(face_set, metric.name, case) for case in (UNDISTURBED, step.case))
            for method in scores.methods(second):
                before, after = (_by_face(scores, key, method, metric) for key in (first, second))
                if not np.isfinite([*before.values(), *after.values()]).all():
                    raise FaceReconError(
                        f"the model gives values that are not finite under {step.case}: train it again with a lower "
                        "training.learning_rate, or turn evaluation.robustness off"
                    )
                found = change(before, after, people)
                about = {"method": method, "metric": metric.name, "faces": found.faces, "identities": found.identities}
                means = {"undisturbed": found.before, "disturbed": found.after, "difference": found.difference}
                ends = {"low": found.low, "high": found.high}
                rows.append(Disturbed(family=step.family, level=step.level, **about, **means, **ends))
    return tuple(rows)


def _by_face(scores: Scores, key: MetricKey, method: str, metric: Metric) -> dict[str, float]:
    most = np.inf if metric.ceiling is None else metric.ceiling
    return dict(zip(scores.faces(key, method), np.minimum(scores.values(key, method), most).tolist(), strict=True))
