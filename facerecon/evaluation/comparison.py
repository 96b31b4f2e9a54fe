"""A model beside another one on the same test faces, where people whom one of both knows are left out."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.settings import Settings

CONFIDENCE, RESAMPLES, SEED = 0.95, 2000, 0
"""Of the bootstrap over people."""


class Compared(Settings):
    """Means of both models in a metric under a case; ``level`` None: over its levels, -1: it has none.

    ``gain`` is by how much the model is better, negative if it is worse, ``low`` and ``high`` the ends of its interval;
    None where too few people can tell.
    """

    metric: str
    case: str
    level: int | None
    ours: float
    theirs: float
    gain: float
    low: float | None
    high: float | None


class Comparison(Settings):
    """The model beside ``other`` (``demo/3``), whose scores are those of ``method``, on ``face_set``.

    ``faces`` and ``identities`` count who is compared on, ``left_out`` the people that one of both learned from or was
    selected by. Without ``rows`` an ``obstacle`` says why nothing is compared.
    """

    method: str
    other: str
    face_set: str
    faces: int = 0
    identities: int = 0
    left_out: int = 0
    confidence: float = CONFIDENCE
    rows: tuple[Compared, ...] = ()
    obstacle: str = ""

    def row(self, metric: str, level: int | None = None) -> Compared | None:
        """The row of a metric, by default its mean over levels; None if there is none."""
        return next((row for row in self.rows if (row.metric, row.level) == (metric, level)), None)


def compare(
    evaluation: Evaluation, face_set: str, method: str, other: str, people: Mapping[str, str], kept: Collection[str]
) -> Comparison:
    """Compare by all that was measured of ``method``, on those of the set's faces that are ``kept``.

    ``people`` names each face's person. A metric's ceiling holds, as at the gate.
    """
    scores = evaluation.scores
    keys = [key for key in scores.keys if key.face_set == face_set and method in scores.methods(key)]
    if not keys:
        said = "it takes other faces, or its figures are no finite numbers"
        return Comparison(method=method, other=other, face_set=face_set, obstacle=said)
    measured = set.intersection(*(set(scores.faces(key, method)) for key in keys))
    faces = sorted(measured & set(kept))
    told = {
        **{"method": method, "other": other, "face_set": face_set, "faces": len(faces)},
        "identities": len({people[face] for face in faces}),
        "left_out": len({people[face] for face in measured} - {people[face] for face in faces}),
    }
    if not faces:
        return Comparison(obstacle="nobody is left that none of both learned from", **told)
    names, rows = [people[face] for face in faces], list[Compared]()
    for metric in evaluation.metrics:
        for case in dict.fromkeys(key.case for key in keys if key.metric == metric.name):
            levels = sorted(key.level for key in keys if (key.metric, key.case) == (metric.name, case))
            of_levels = [MetricKey(face_set, metric.name, case, level) for level in levels]
            ours, theirs = (
                np.array([_values(evaluation, key, of, metric, faces) for key in of_levels]) for of in (MODEL, method)
            )
            for place, level in enumerate(levels):
                rows.append(_row(metric, case, level, ours[place], theirs[place], names))
            if len(levels) > 1:
                rows.append(_row(metric, case, None, ours.mean(axis=0), theirs.mean(axis=0), names))
    return Comparison(rows=tuple(rows), **told)


def _row(
    metric: Metric,
    case: str,
    level: int | None,
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    people: list[str],
) -> Compared:
    gains = ours - theirs if metric.higher_is_better else theirs - ours
    found = paired_interval(gains, people, RESAMPLES, CONFIDENCE, SEED)
    means = {"ours": float(ours.mean()), "theirs": float(theirs.mean()), "gain": found.mean}
    return Compared(metric=metric.name, case=case, level=level, low=found.low, high=found.high, **means)


def _values(
    evaluation: Evaluation, key: MetricKey, method: str, metric: Metric, faces: list[str]
) -> NDArray[np.float64]:
    """The values [N] of these faces, none above the metric's ceiling."""
    scores = evaluation.scores
    found = dict(zip(scores.faces(key, method), scores.values(key, method), strict=True))
    return np.minimum([found[face] for face in faces], np.inf if metric.ceiling is None else metric.ceiling)
