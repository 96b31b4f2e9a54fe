"""How an inpainting network is trained. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field

from facerecon.data.augmentation import AugmentationSettings
from facerecon.settings import Settings, Share
from facerecon.training.settings import OptimizerSettings

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


class TrainingSettings(OptimizerSettings):
    """How the network is trained."""

    coarse_share: Share = Field(0.0, description="share of the steps, the first ones, on images of half the size")
    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        """Steps at full size from the first on, whose ``work`` is counted in these: a coarse one costs a quarter."""
        full = work * (1 - 0.75 * self.coarse_share)
        return super().warm_started(full, peak, warmup_steps).model_copy(update={"coarse_share": 0.0})
