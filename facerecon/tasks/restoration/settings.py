"""The settings of restoration: degradations, losses, judges, the rule of promotion. Imports no torch."""

from typing import Any, Self

from pydantic import Field, model_validator

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.inference.upscaler import SCALE as UPSCALER_SCALE
from facerecon.inference.upscaler import WEIGHTS as UPSCALER
from facerecon.models import pretrained_weights
from facerecon.models.settings import ModelSettings, scale_of
from facerecon.tasks.restoration.evaluation_settings import RestorationEvaluationSettings
from facerecon.tasks.restoration.gate_settings import RestorationPromotionSettings
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.tasks.settings import TaskSettings, check_frozen, check_judges, check_maskless, uses_of

FAMILY = "unet"


class Settings(TaskSettings):
    """What a run of restoration sets beside data, alignment and validation."""

    degradations: DegradationSettings = Field(default_factory=DegradationSettings)
    model: ModelSettings = Field(default_factory=lambda: ModelSettings(family=FAMILY))
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: RestorationEvaluationSettings = Field(default_factory=RestorationEvaluationSettings)
    promotion: RestorationPromotionSettings = Field(default_factory=RestorationPromotionSettings)

    @model_validator(mode="before")
    @classmethod
    def _no_mask(cls, given: Any) -> Any:
        check_maskless(given, "a restoration model")
        return given

    @model_validator(mode="after")
    def _frozen_faces_are_enough(self) -> Self:
        check_frozen(self.degradations.faces, self)
        return self

    @model_validator(mode="after")
    def _the_gate_is_not_the_teacher(self) -> Self:
        check_judges(self.promotion, self.training.losses)
        return self

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        uses = uses_of(self.training.losses, self.evaluation, self.promotion)
        for network in pretrained_weights(self.model.options):
            uses.setdefault(network, []).append("encoder that training starts from")
        if scale_of(self.model) == UPSCALER_SCALE:
            uses.setdefault(UPSCALER, []).append("baseline of enlargement")
        return uses
