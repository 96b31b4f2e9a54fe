"""What there is to tell about one run, the same for the report and the model card."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from facerecon.evaluation.comparison import Comparison
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import Decision
from facerecon.models.trained import Row, epoch_cost
from facerecon.report.base import TaskReport

LIMITS = (
    "± is the spread (standard deviation) over faces, not the uncertainty of the mean. Photographs of one person "
    "are not independent, so the number of people counts more than the number of faces.",
    "Nothing here measures whether the model serves groups of people equally well.",
)
"""What no report's figures say."""


@dataclass(frozen=True)
class RetrainingStory:
    """Why a model was retrained, as text: people appear in numbers only.

    ``decision`` is a sentence. ``facts`` are (name, text), ``clips`` (name of the clip, what became of it), ``people``
    the new ones by split, ``drift`` (measure, old, new, effect), ``commands`` (what it does, the command).
    """

    decision: str
    facts: list[tuple[str, str]]
    clips: list[tuple[str, str]]
    people: dict[str, int]
    drift: list[tuple[str, str, str, str]]
    commands: list[tuple[str, str]]


@dataclass(frozen=True)
class Story:
    """All that the report and the model card tell about one run.

    ``name`` and ``settings`` are the config's (``RunSettings.model_dump(mode="json")``), ``history`` the training's
    curves, ``counts`` the manifest's, ``sources`` the data's sources in words and ``licence`` theirs, ``expectations``
    the outcomes of the data's validation (``DataDocs.summary``), ``quarantine`` photos by reason, ``licences`` photos
    by their own licence (where the source gives each one), ``account`` what became of every file of the data,
    ``export`` an ``ExportedModel``'s report, ``weights`` the rows of ``facerecon.weights.table``, ``uses`` what
    pretrained weights were used for, by name. ``decision`` and ``comparison`` are the promotion's: the decision, and
    gate faces as the two models make them. ``provenance`` is printed as it is. Of a retraining, ``comparisons`` are
    those with other models, ``retraining`` tells why it was done.
    """

    name: str
    settings: dict[str, Any]
    report: TaskReport
    evaluation: Evaluation
    comparison: dict[str, NDArray[Any]]
    history: list[Row]
    counts: dict[str, int]
    sources: str
    licence: str
    expectations: list[dict[str, Any]]
    quarantine: dict[str, int]
    licences: dict[str, int]
    account: list[dict[str, Any]]
    export: dict[str, Any]
    decision: Decision
    provenance: dict[str, str]
    weights: list[dict[str, Any]]
    uses: dict[str, list[str]]
    comparisons: tuple[Comparison, ...] = ()
    retraining: RetrainingStory | None = None

    @property
    def limits(self) -> list[str]:
        """What the figures do not say."""
        return [*self.report.limits(self), *LIMITS]

    @property
    def epoch_cost(self) -> str:
        """What an epoch takes, in words; "" if the curves do not tell."""
        return epoch_cost(self.history, self.counts["train"])

    @property
    def used_weights(self) -> list[dict[str, str]]:
        """The pretrained weights this run rests on: name, use, licence, package and sha256, sorted by name."""
        known = {row["name"]: row for row in self.weights}
        unknown = {"licence": "not recorded: supplied by the user", "package": "–", "sha256": "–"}
        return [
            {"name": name, "use": ", ".join(use)}
            | {key: str(known.get(name, unknown)[key]) for key in ("licence", "package", "sha256")}
            for name, use in sorted(self.uses.items())
        ]

    @property
    def provenances(self) -> dict[str, str]:
        """The provenance, after the evaluation's own digests where it does not name them already."""
        evaluation = self.evaluation
        digests = {
            "weights": evaluation.model.weights,
            "manifest": evaluation.data,
            "evaluation cases": evaluation.cases,
        }
        told = set(self.provenance.values())
        return {key: value for key, value in digests.items() if value not in told} | self.provenance
