"""The settings of inpainting: masks, degradations, losses, judges, the rule of promotion. Imports no torch."""

from typing import Any, Self

from pydantic import Field, model_validator

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.settings import MaskSettings
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.tasks.settings import TaskSettings, check_judges, uses_of


class Settings(TaskSettings):
    """What a run of inpainting sets beside data, alignment and validation."""

    masks: MaskSettings = Field(default_factory=MaskSettings)
    degradations: DegradationSettings | None = Field(
        None, description="of the faces that are hidden in part; what is put back is degraded alike"
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: InpaintingEvaluationSettings = Field(default_factory=InpaintingEvaluationSettings)
    promotion: InpaintingPromotionSettings = Field(default_factory=InpaintingPromotionSettings)

    @model_validator(mode="before")
    @classmethod
    def _no_blur_beside_degradations(cls, given: Any) -> Any:
        """As in restoration, faces that are degraded are not blurred by augmentation, unless that is asked for."""
        if not isinstance(given, dict) or given.get("degradations") is None:
            return given
        training = given.get("training", {})
        augmentation = training.get("augmentation", {}) if isinstance(training, dict) else None
        if not isinstance(augmentation, dict):
            return given
        return {**given, "training": {**training, "augmentation": {"blur": 0, **augmentation}}}

    @model_validator(mode="after")
    def _frozen_faces_are_enough(self) -> Self:
        if self.degradations is not None and self.evaluation.max_faces > self.degradations.faces:
            raise ValueError(
                f"evaluation.max_faces = {self.evaluation.max_faces} goes beyond degradations.faces = "
                f"{self.degradations.faces}: raise that, or lower this"
            )
        return self

    @model_validator(mode="after")
    def _the_gate_is_not_the_teacher(self) -> Self:
        check_judges(self.promotion, self.training.losses)
        return self

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        return uses_of(self.training.losses, self.evaluation, self.promotion)
