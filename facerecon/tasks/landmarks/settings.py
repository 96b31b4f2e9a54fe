"""The settings of landmarks: degradations, losses, the rule of promotion. Imports no torch."""

from typing import Any, Self

from pydantic import Field, model_validator

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.models import pretrained_weights
from facerecon.models.settings import ModelSettings
from facerecon.tasks.landmarks.evaluation_settings import LandmarkEvaluationSettings
from facerecon.tasks.landmarks.gate_settings import LandmarkPromotionSettings
from facerecon.tasks.landmarks.training_settings import TrainingSettings
from facerecon.tasks.settings import TaskSettings, check_frozen, check_maskless

CONDITIONS = ("clean", "low_resolution", "poor_light", "motion_9", "poor_video")


class Settings(TaskSettings):
    """What a run of landmarks sets beside data, alignment and validation."""

    degradations: DegradationSettings = Field(
        default_factory=lambda: DegradationSettings(
            training=(*CONDITIONS[1:], "varied_video"), evaluation=CONDITIONS, clean_share=0.2
        )
    )
    model: ModelSettings = Field(default_factory=lambda: ModelSettings(family="multitask"))
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: LandmarkEvaluationSettings = Field(default_factory=LandmarkEvaluationSettings)
    promotion: LandmarkPromotionSettings = Field(default_factory=LandmarkPromotionSettings)

    @model_validator(mode="before")
    @classmethod
    def _no_mask(cls, given: Any) -> Any:
        check_maskless(given, "a landmark model")
        return given

    @model_validator(mode="after")
    def _frozen_faces_are_enough(self) -> Self:
        check_frozen(self.degradations.faces, self)
        return self

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training starts from, each with what it is used for."""
        return {name: ["encoder that training starts from"] for name in pretrained_weights(self.model.options)}
