"""The settings of inpainting: masks, losses, judges, the rule of promotion. Imports no torch."""

from typing import Self

from pydantic import Field, model_validator

from facerecon.corruption.settings import MaskSettings
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.tasks.settings import TaskSettings, check_judges, uses_of


class Settings(TaskSettings):
    """What a run of inpainting sets beside data, alignment and validation."""

    masks: MaskSettings = Field(default_factory=MaskSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: InpaintingEvaluationSettings = Field(default_factory=InpaintingEvaluationSettings)
    promotion: InpaintingPromotionSettings = Field(default_factory=InpaintingPromotionSettings)

    @model_validator(mode="after")
    def _the_gate_is_not_the_teacher(self) -> Self:
        check_judges(self.promotion, self.training.losses)
        return self

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        return uses_of(self.training.losses, self.evaluation, self.promotion)
