"""How much is measured. Imports no torch."""

from pydantic import Field

from facerecon.evaluation.settings import EvaluationSettings


class LandmarkEvaluationSettings(EvaluationSettings):
    """How much is measured on the test split."""

    as_used: int = Field(
        100, ge=0, description="so many of the faces of each truth are also measured as used; 0 turns it off"
    )
