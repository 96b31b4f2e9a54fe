"""How much is measured. Imports no torch."""

from facerecon.evaluation.settings import EvaluationSettings


class LandmarkEvaluationSettings(EvaluationSettings):
    """How much is measured on the test split."""
