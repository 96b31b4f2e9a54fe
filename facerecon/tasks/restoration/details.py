"""What an evaluation of restoration has beside scores: who is recognised, how far confidence is trusted, use."""

from pydantic import Field

from facerecon.evaluation.as_used import UsedFigure
from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import Robustness
from facerecon.evaluation.trust import Trust
from facerecon.settings import Settings


class Gain(Settings):
    """The model's figure less that of the degraded input, mean and interval over people; ``ratio`` of the means."""

    case: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    ratio: float | None
    identities: int


class Confidence(Trust):
    """How far the confidence of so many ``pixels`` can be trusted under one degradation."""

    pixels: int


class RestorationDetails(Details):
    """``gallery`` people and ``probes`` faces of ``recognised`` people with two photos or more made rank 1.

    ``scale``: how many times as large the model makes its input; ``threshold``: the error, of 255, up to which a pixel
    is right for the confidence. ``as_used_note`` says what was not measured as used, and why; "" if all was.
    ``robustness`` is None where it was not asked for.
    """

    scale: int
    threshold: int
    gallery: int
    probes: int
    recognised: int
    gains: tuple[Gain, ...] = ()
    confidence: tuple[Confidence, ...] = ()
    as_used: tuple[UsedFigure, ...] = ()
    as_used_note: str = ""
    robustness: Robustness | None = Field(None, exclude_if=lambda value: value is None)

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """What the model reaches as used, by how much that differs, the share of faces that were not found; and what it
        reaches with its input disturbed."""
        used = {
            MetricKey(face_set, f"{row.metric}{what}", row.case): value
            for row in self.as_used
            if row.method == MODEL
            for what, value in row.figures.items()
        }
        return used | ({} if self.robustness is None else self.robustness.figures(face_set))


DETAILS = RestorationDetails
