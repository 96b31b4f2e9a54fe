"""The part of a run's settings that a task decides. Imports no torch."""

from typing import Any, Self

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


def check_maskless(given: Any, what: str) -> None:
    """Raise ValueError if raw settings have masks, which ``what`` (a restoration model) does not take."""
    if isinstance(given, dict) and "masks" in given:
        raise ValueError(f"masks: {what} takes no mask: leave it out, or say `task: inpainting`")


def check_frozen(faces: int, settings: TaskSettings) -> None:
    """Raise ValueError, which names the setting, if more faces are to be measured than are degraded and frozen."""
    for key, asked in (
        ("evaluation.max_faces", settings.evaluation.max_faces),
        ("promotion.max_faces", settings.promotion.max_faces),
        ("training.validation_faces", settings.training.validation_faces),
    ):
        if asked > faces:
            raise ValueError(f"{key} = {asked} goes beyond degradations.faces = {faces}: raise that, or lower this")


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
