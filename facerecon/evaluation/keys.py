"""What a figure is of: metrics and their keys. No other module spells the name of a figure."""

import math
from dataclasses import dataclass

from facerecon.settings import Settings


class Metric(Settings):
    """A figure: its name, how it is shown, and which direction is better.

    ``judge`` is the pretrained network that measures it, "" for a formula; figures of two judges are two metrics.
    ``ceiling`` is the largest value that counts where two models are compared; None where there is none.
    """

    name: str
    label: str
    unit: str = ""
    digits: int = 3
    higher_is_better: bool = True
    ceiling: float | None = None
    judge: str = ""

    @property
    def arrow(self) -> str:
        """Points where better figures lie."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def titled(self) -> str:
        """Label and unit: ``hole PSNR, dB``."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def gain(self, ours: float, theirs: float) -> float:
        """By how much ``ours`` is better than ``theirs``; negative if it is worse."""
        return ours - theirs if self.higher_is_better else theirs - ours

    def better(self, ours: float, theirs: float) -> bool:
        """Whether ``ours`` is strictly better; a NaN never is, and any number is better than NaN."""
        if math.isnan(ours) or math.isnan(theirs):
            return math.isnan(theirs) and not math.isnan(ours)
        return self.gain(ours, theirs) > 0


@dataclass(frozen=True, order=True)
class MetricKey:
    """One figure: of which faces, which metric, under which case, at which level (-1: a case without levels).

    ``face_set`` is any named set of faces (test, gate, val, test_dark ...).
    """

    face_set: str
    metric: str
    case: str
    level: int = -1

    @property
    def case_name(self) -> str:
        """The case with its level as trackers and files name it: ``brush_level_2``, ``features_nose``."""
        case = self.case.replace("/", "_")
        return case if self.level < 0 else f"{case}_level_{self.level}"

    def __str__(self) -> str:
        """``test/hole_psnr/brush_level_2``; MLflow makes a section of what stands before the last slash."""
        return f"{self.face_set}/{self.metric}/{self.case_name}"
