"""How an inpainting network is trained. Imports no torch."""

from typing import Self

from pydantic import Field

from facerecon.data.augmentation import AugmentationSettings
from facerecon.settings import Share
from facerecon.training.settings import OptimizerSettings, TeacherSettings, Weight


class LossSettings(TeacherSettings):
    """Weights of the terms."""

    hole: Weight = 6.0
    perceptual: Weight = 0.8
    identity: Weight = 0.1


class TrainingSettings(OptimizerSettings):
    """How the network is trained."""

    coarse_share: Share = Field(0.0, description="share of the steps, the first ones, on images of half the size")
    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        """Steps at full size from the first on, whose ``work`` is counted in these: a coarse one costs a quarter."""
        full = work * (1 - 0.75 * self.coarse_share)
        return super().warm_started(full, peak, warmup_steps).model_copy(update={"coarse_share": 0.0})
