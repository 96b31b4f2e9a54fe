"""The part of a run's settings that a task decides. Imports no torch."""

from typing import Self

from pydantic import Field, SerializeAsAny

from facerecon.evaluation.promotion import PromotionSettings
from facerecon.evaluation.settings import EvaluationSettings, JudgeSettings
from facerecon.models.settings import ModelSettings
from facerecon.settings import Settings
from facerecon.training.settings import LoopSettings, TeacherSettings


class TaskSettings(Settings):
    """A task's own class narrows the types of these fields and adds fields."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    training: SerializeAsAny[LoopSettings] = Field(default_factory=LoopSettings)
    evaluation: SerializeAsAny[EvaluationSettings] = Field(default_factory=EvaluationSettings)
    promotion: SerializeAsAny[PromotionSettings] = Field(default_factory=PromotionSettings)

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        """These settings for a training that starts from weights of the same kind; see ``LoopSettings.warm_started``.

        What a family has only to schedule a training from scratch is there from its first step.
        """
        schedule: frozenset[str] = getattr(self.model.options, "SCHEDULE", frozenset())
        options = self.model.options.model_copy(update=dict.fromkeys(sorted(schedule), 0.0))
        training = self.training.warm_started(work, peak, warmup_steps)
        return self.model_copy(
            update={"model": self.model.model_copy(update={"options": options}), "training": training}
        )

    @property
    def pretrained(self) -> dict[str, list[str]]:
        """The pretrained weights that training, evaluation and gate use, each with what it is used for."""
        return {}


def check_judges(promotion: JudgeSettings, losses: TeacherSettings) -> None:
    """Raise ValueError, which names the settings, if a network that teaches is to judge at the gate."""
    if both := set(promotion.judges) & set(losses.networks):
        taught = ", ".join(sorted(both))
        raise ValueError(f"promotion: {taught} teaches in training.losses and must not judge: choose another there")


def uses_of(losses: TeacherSettings, evaluation: JudgeSettings, promotion: JudgeSettings) -> dict[str, list[str]]:
    """The pretrained weights that teach and judge, each with what it is used for."""
    uses = losses.uses
    for judges, where in ((evaluation.judges, ""), (promotion.judges, " at the gate")):
        for network, label in zip(judges, ("LPIPS", "identity"), strict=True):
            uses.setdefault(network, []).append(f"judge of {label}{where}")
    return uses
