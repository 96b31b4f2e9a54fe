"""What is measured."""

from pydantic import Field

from facerecon.settings import Settings


class EvaluationSettings(Settings):
    """How much is measured on the test split."""

    max_faces: int = Field(200, ge=1)
    samples: int = Field(8, ge=1, le=64, description="faces shown in the report's grids")
