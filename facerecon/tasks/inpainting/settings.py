"""The settings of inpainting: masks, losses, judges, the rule of promotion. Imports no torch."""

from typing import Self

from pydantic import Field, model_validator

from facerecon.corruption.settings import MaskSettings
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.tasks.settings import TaskSettings


class Settings(TaskSettings):
    """What a run of inpainting sets beside data, alignment and validation."""

    masks: MaskSettings = Field(default_factory=MaskSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: InpaintingEvaluationSettings = Field(default_factory=InpaintingEvaluationSettings)
    promotion: InpaintingPromotionSettings = Field(default_factory=InpaintingPromotionSettings)

    @model_validator(mode="after")
    def _the_gate_is_not_the_teacher(self) -> Self:
        if both := set(self.promotion.judges) & set(self.training.losses.networks):
            taught = ", ".join(sorted(both))
            raise ValueError(f"promotion: {taught} teaches in training.losses and must not judge: choose another there")
        return self

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        losses, uses = self.training.losses, dict[str, list[str]]()
        if losses.perceptual:
            uses.setdefault(f"lpips_{losses.perceptual_backbone}", []).append("perceptual loss")
        if losses.identity:
            uses.setdefault(losses.identity_network, []).append("identity loss")
        for judges, where in ((self.evaluation.judges, ""), (self.promotion.judges, " at the gate")):
            for network, label in zip(judges, ("LPIPS", "identity"), strict=True):
                uses.setdefault(network, []).append(f"judge of {label}{where}")
        return uses
