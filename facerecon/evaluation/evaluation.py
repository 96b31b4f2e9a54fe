"""What an evaluation ends with: scores, and all that is needed to show them. Imports no torch."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores, Summary
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings

if TYPE_CHECKING:
    from torch import nn

TEST = "test"
"""The face set whose figures are reported; they decide nothing."""

TEST_OLD, TEST_NEW = "test_old", "test_new"
"""The two in its place where data grows: figures of two cameras do not compare, so nothing is averaged over both."""


class FaceSet(Settings):
    """Faces that are measured apart, ``faces`` of so many people (``identities``)."""

    name: str
    faces: int
    identities: int


class Judge(Settings):
    """The pretrained network behind a metric; ``in_loss`` if the model was trained on it, so that its figure flatters.

    ``note`` is what helps to read the figure, "" for nothing.
    """

    metric: str
    label: str
    network: str
    in_loss: bool
    note: str = ""


class ModelFacts(Settings):
    """The model that was measured: how it is built, how large it is, and its weights' digest.

    ``parameters`` are trained, ``fitted`` numbers were computed from the faces in closed form.
    """

    task: str
    family: str
    size: int
    step: int
    weights: str
    parameters: int
    fitted: int = 0

    @classmethod
    def of(cls, trained: TrainedModel, network: "nn.Module", fitted: int = 0) -> Self:
        """The facts about ``trained``, of which ``network`` was built."""
        return cls(
            **{name: getattr(trained, name) for name in ("task", "family", "size", "step")},
            weights=trained.digest,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            fitted=fitted,
        )


class Details(Settings):
    """What a task adds to an evaluation beside scores, as JSON; a task without such details uses this class."""

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """The figures among them that trackers keep; the details are of ``face_set``."""
        return {}


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model and its baselines on the test split.

    Where the manifest has TEST_OLD and TEST_NEW these are measured apart in its place, as ``face_sets``. The headline,
    and all that is told of one set, is then of the first, TEST_OLD, whose people stay the same over the years.

    ``metrics`` are those of the scores, in the order in which they are shown; ``headline`` is the metric and case by
    which the model is summed up, and ``baseline`` the method beside which; ``methods`` has the label of each method.
    ``faces`` and ``identities`` count those of the headline. ``data`` and ``cases`` are the digests of manifest and
    frozen cases. ``samples`` are arrays of the same length for the report's grids. Scores of methods that are not among
    ``methods`` are those of other models: ``facerecon.evaluation.comparison``.
    """

    model: ModelFacts
    faces: int
    identities: int
    data: str
    cases: str
    metrics: tuple[Metric, ...]
    headline: tuple[str, str]
    baseline: str
    methods: dict[str, str]
    judges: tuple[Judge, ...]
    scores: Scores
    details: Details
    samples: dict[str, NDArray[Any]]
    face_sets: tuple[FaceSet, ...] = ()

    @property
    def face_set(self) -> str:
        """The face set of the headline."""
        return self.face_sets[0].name if self.face_sets else TEST

    @property
    def measured_on(self) -> str:
        """The face set of the headline in words."""
        return self.face_set if self.face_sets else f"{TEST} split"

    @property
    def all_sets(self) -> tuple[FaceSet, ...]:
        """All sets that are measured, the headline's first."""
        return self.face_sets or (FaceSet(name=TEST, faces=self.faces, identities=self.identities),)

    @cached_property
    def _summaries(self) -> dict[tuple[MetricKey, str], Summary]:
        return {(figure.key, figure.method): figure.summary for figure in self.scores.figures()}

    def summary(self, metric: str, case: str, level: int, method: str, face_set: str | None = None) -> Summary | None:
        """The summary of one figure over the faces (of the headline by default), None if it was not measured."""
        return self._summaries.get((MetricKey(face_set or self.face_set, metric, case, level), method))

    @property
    def split_cases(self) -> list[tuple[str, int]]:
        """All cases and levels measured on the headline's faces, in the order in which they were."""
        return self.cases_on(self.face_set)

    def cases_on(self, face_set: str) -> list[tuple[str, int]]:
        """All cases and levels measured on a face set, in the order in which they were."""
        return list(dict.fromkeys((key.case, key.level) for key in self.scores.keys if key.face_set == face_set))

    def levels(self, case: str, face_set: str | None = None) -> list[int]:
        """The levels of a case, in order; [-1] of one without levels."""
        return sorted(level for other, level in self.cases_on(face_set or self.face_set) if other == case)

    def metric(self, name: str) -> Metric:
        """A metric by its name; KeyError if there is none."""
        return {metric.name: metric for metric in self.metrics}[name]

    @property
    def headline_metric(self) -> Metric:
        """The metric by which the model is summed up."""
        return self.metric(self.headline[0])

    def gain(self, level: int, over: str, face_set: str | None = None) -> float | None:
        """By how much the model's headline figure is better than that of the method ``over``; negative if worse.

        On the headline's faces, or on another ``face_set``.

        None where the two do not compare: one has infinite figures that the other has not, or one was not measured.
        """
        metric, case = self.headline
        return gain(
            self.headline_metric,
            self.summary(metric, case, level, MODEL, face_set),
            self.summary(metric, case, level, over, face_set),
        )

    def mean_gain(self, over: str, face_set: str | None = None) -> float | None:
        """The mean of ``gain`` over the levels of the headline's case; None where one of them is."""
        gains = [self.gain(level, over, face_set) for level in self.levels(self.headline[1], face_set)]
        known = [gain for gain in gains if gain is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(gains) else None

    def as_dict(self) -> dict[str, Any]:
        """For strict JSON: all but scores by face and samples, with a figure for each key and method of ``methods``."""
        return {
            "schema_version": 2,
            "model": self.model.model_dump(mode="json"),
            "faces": self.faces,
            "identities": self.identities,
            **({"face_sets": [each.model_dump(mode="json") for each in self.face_sets]} if self.face_sets else {}),
            "data": self.data,
            "cases": self.cases,
            "metrics": [metric.model_dump(mode="json") for metric in self.metrics],
            "headline": list(self.headline),
            "baseline": self.baseline,
            "methods": [list(pair) for pair in self.methods.items()],
            "judges": [judge.model_dump(mode="json") for judge in self.judges],
            "figures": [figure.as_dict() for figure in self.scores.figures() if figure.method in self.methods],
            "details": self.details.model_dump(mode="json"),
        }

    @classmethod
    def from_dict(
        cls, stored: dict[str, Any], scores: Scores, samples: dict[str, NDArray[Any]], details: type[Details]
    ) -> "Evaluation":
        """The inverse of ``as_dict``, with the scores and samples that were stored beside it."""
        return cls(
            model=ModelFacts.model_validate(stored["model"]),
            metrics=tuple(Metric.model_validate(metric) for metric in stored["metrics"]),
            headline=(stored["headline"][0], stored["headline"][1]),
            judges=tuple(Judge.model_validate(judge) for judge in stored["judges"]),
            scores=scores,
            details=details.model_validate(stored["details"]),
            samples=samples,
            methods=dict(stored["methods"]),
            face_sets=tuple(FaceSet.model_validate(each) for each in stored.get("face_sets", ())),
            **{name: stored[name] for name in ("faces", "identities", "data", "cases", "baseline")},
        )


def gain(metric: Metric, ours: Summary | None, theirs: Summary | None) -> float | None:
    """By how much our mean is better; None where infinite or missing figures keep the two from comparing."""
    if ours is None or theirs is None:
        return None
    if ours.mean is None and theirs.mean is None:
        return 0.0
    if ours.mean is None or theirs.mean is None or ours.infinite != theirs.infinite:
        return None
    return metric.gain(ours.mean, theirs.mean)
