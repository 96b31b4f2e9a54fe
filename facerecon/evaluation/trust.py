"""How far a confidence can be trusted, as an evaluation keeps it. Imports no torch."""

from typing import Any

from facerecon.evaluation.calibration import Reliability
from facerecon.settings import Settings


class Trust(Settings):
    """What is said and what is so under one ``case``, as ``evaluation.calibration`` defines it; a subclass counts."""

    case: str
    brier: float
    brier_constant: float
    calibration_error: float
    mean_confidence: float
    share_right: float


def told(found: Reliability) -> dict[str, Any]:
    """The fields of ``Trust`` that follow from counts."""
    return {name: getattr(found, name) for name in Trust.model_fields if name != "case"}
