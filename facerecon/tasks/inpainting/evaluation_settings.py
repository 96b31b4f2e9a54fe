"""By which judges an inpainting model is measured. Imports no torch."""

from pydantic import Field

from facerecon.evaluation.settings import EvaluationSettings, JudgeSettings


class InpaintingEvaluationSettings(JudgeSettings, EvaluationSettings):
    """How much is measured on the test split, and by which judges."""

    as_used: int = Field(50, ge=0, description="so many of the faces are also measured as used; 0 turns it off")
    robustness: bool = Field(
        False, description="measure it too with the input damaged step by step: JPEG, H.264, noise, and an attack on it"
    )
