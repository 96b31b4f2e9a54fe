"""How an inpainting network is trained. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facerecon.data.augmentation import AugmentationSettings
from facerecon.settings import Settings, Share
from facerecon.training.settings import LoopSettings

Weight = Annotated[float, Field(ge=0, le=1000)]


class LossSettings(Settings):
    """Weights of the terms; an interval of k applies the term on every k-th step, k times as strong."""

    l1: Weight = 1.0
    hole: Weight = 6.0
    perceptual: Weight = 0.8
    perceptual_backbone: Literal["alex", "vgg"] = "alex"
    perceptual_interval: int = Field(1, ge=1, le=1000)
    identity: Weight = 0.1
    identity_interval: int = Field(1, ge=1, le=1000)
    identity_network: Literal["sface", "facenet"] = "sface"
    confidence: Weight = 0.1

    @property
    def networks(self) -> list[str]:
        """The names of the pretrained weights that teach."""
        perceptual = [f"lpips_{self.perceptual_backbone}"] if self.perceptual else []
        return perceptual + ([self.identity_network] if self.identity else [])


class TrainingSettings(LoopSettings):
    """How the network is trained. ``learning_rate`` falls to ``final_learning_rate`` along a cosine."""

    coarse_share: Share = Field(0.0, description="share of the steps, the first ones, on images of half the size")
    learning_rate: float = Field(2e-3, gt=0, le=1)
    final_learning_rate: float = Field(2e-6, ge=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(1e-5, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="of a running mean of the weights, which is kept; 0: of none")
    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        """Steps at full size from the first on, whose ``work`` is counted in these: a coarse one costs a quarter."""
        steps = max(1, round(work * self.steps * (1 - 0.75 * self.coarse_share)))
        return self.model_copy(
            update={
                **{"steps": steps, "validate_every": self._validated_as_often(steps), "coarse_share": 0.0},
                **{"learning_rate": peak * self.learning_rate, "warmup_steps": min(warmup_steps, steps)},
            }
        )

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} goes beyond steps = {self.steps}: lower it")
        return self
