"""What an evaluation of inpainting has beside scores: areas of holes, how far confidence can be trusted, use."""

from pydantic import Field

from facerecon.evaluation.as_used import Used
from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import Robustness
from facerecon.settings import Settings
from facerecon.tasks.inpainting.metrics import HOLE_PSNR


class ReliabilityBin(Settings):
    """Hole pixels whose confidence lies in [low, high): how many, their mean confidence, the share that is right."""

    low: float
    high: float
    pixels: int
    mean_confidence: float | None
    share_right: float | None


class Confidence(Settings):
    """How far the confidence can be trusted in the holes of one case and level (-1: without levels).

    ``rank_correlation`` is Spearman's of confidence with less error, mean over faces, None where it is not defined;
    ``brier_constant`` the Brier score of always saying ``share_right``.
    """

    case: str
    level: int
    pixels: int
    faces: int
    brier: float
    brier_constant: float
    rank_correlation: float | None
    calibration_error: float
    mean_confidence: float
    share_right: float
    bins: tuple[ReliabilityBin, ...]


class HoleRatio(Settings):
    """The mean share of hidden pixels of one case and level, over faces that have such a hole."""

    case: str
    level: int
    ratio: float


class AsUsed(Used):
    """Hole PSNR in dB as used: with the hole pasted into the photographs."""

    level: int


class InpaintingDetails(Details):
    """``threshold``: the error, of 255, up to which a pixel is right for the confidence; ``confidence`` is empty for a
    model without that head. ``attention`` names the scales of its attention maps. ``as_used_note`` says what was not
    measured as used, and why; "" if all was. ``robustness`` is None where it was not asked for.
    """

    threshold: int
    attention: tuple[str, ...]
    hole_ratios: tuple[HoleRatio, ...]
    confidence: tuple[Confidence, ...]
    as_used: tuple[AsUsed, ...] = ()
    as_used_note: str = "the evaluation is of before there was this figure"
    robustness: Robustness | None = Field(None, exclude_if=lambda value: value is None)

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """What the model reaches as used, by how much that differs, the share of faces that were not found; and what it
        reaches with its input disturbed."""
        used = {
            MetricKey(face_set, f"{HOLE_PSNR.name}{what}", row.case, row.level): value
            for row in self.as_used
            if row.method == MODEL
            for what, value in row.figures.items()
        }
        return used | ({} if self.robustness is None else self.robustness.figures(face_set))

    def hole_ratio(self, case: str, level: int) -> float:
        """The mean hole ratio of a case and level; KeyError if it was not measured."""
        return {(row.case, row.level): row.ratio for row in self.hole_ratios}[case, level]


DETAILS = InpaintingDetails
