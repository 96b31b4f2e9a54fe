"""How the network is trained."""

from typing import Annotated, Literal

from pydantic import Field

from facerecon.data.augmentation import AugmentationSettings
from facerecon.settings import Settings, Share

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


class TrainingSettings(Settings):
    """The length is given in optimiser steps. ``learning_rate`` falls to ``final_learning_rate`` along a cosine."""

    steps: int = Field(600, ge=1, le=100_000_000)
    coarse_share: Share = Field(0.0, description="share of the steps, the first ones, on images of half the size")
    batch_size: int = Field(16, ge=1, le=4096)
    accumulate: int = Field(1, ge=1, le=1024, description="batches per optimiser step")
    learning_rate: float = Field(2e-3, gt=0, le=1)
    final_learning_rate: float = Field(2e-6, ge=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(1e-5, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="of a running mean of the weights, which is kept; 0: of none")
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed where the device has instructions for it, else 32-true"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; null leaves it to PyTorch")
    loader_workers: int = Field(0, ge=0, le=128)
    validate_every: int = Field(100, ge=1, description="steps between validations and checkpoints")
    validation_faces: int = Field(64, ge=1)
    resume_from: str | None = Field(
        None, description="folder of a checkpoint of the same settings, data and code, made elsewhere, to go on from"
    )
    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)
