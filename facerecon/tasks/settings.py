"""The part of a run's settings that a task decides. Imports no torch."""

from pydantic import Field, SerializeAsAny

from facerecon.evaluation.promotion import PromotionSettings
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.models.settings import ModelSettings
from facerecon.settings import Settings
from facerecon.training.settings import LoopSettings


class TaskSettings(Settings):
    """A task's own class narrows the types of these fields and adds fields."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    training: SerializeAsAny[LoopSettings] = Field(default_factory=LoopSettings)
    evaluation: SerializeAsAny[EvaluationSettings] = Field(default_factory=EvaluationSettings)
    promotion: SerializeAsAny[PromotionSettings] = Field(default_factory=PromotionSettings)

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        return {}
