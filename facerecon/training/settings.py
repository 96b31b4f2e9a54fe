"""How long and on what a network is trained: what the loop needs to know, whatever the task."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facerecon.settings import Settings


class SourceShare(Settings):
    """Which share of the faces in the batches comes from one source; the others share the rest by their faces."""

    source: str = Field("collected", min_length=1, description="its name in data")
    share: float = Field(0.5, gt=0, lt=1)


class LoopSettings(Settings):
    """The training loop. The length is given in optimiser steps."""

    steps: int = Field(600, ge=1, le=100_000_000)
    batch_size: int = Field(16, ge=1, le=4096)
    accumulate: int = Field(1, ge=1, le=1024, description="batches per optimiser step")
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed where the device has instructions for it, else 32-true"
    )
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; null leaves it to PyTorch")
    loader_workers: int = Field(0, ge=0, le=128)
    validate_every: int = Field(100, ge=1, description="steps between validations and checkpoints")
    validation_faces: int = Field(64, ge=1)
    resume_from: str | None = Field(
        None, description="folder of a checkpoint of the same settings, data and code, made elsewhere, to resume from"
    )
    init_from: str | None = Field(
        None,
        description="weights to start from: a version (demo/3), an alias (demo@champion), a run, a .safetensors file",
    )
    keep_fitted: bool = Field(
        False, description="keep what init_from has computed in closed form, instead of fitting it to this run's faces"
    )

    source_share: SourceShare | None = Field(
        None, description="of a source that is to have more, or less, of the batches than it has of the faces"
    )

    @property
    def validates_start(self) -> bool:
        """Whether the network is validated before the first step, too: that is shown and never kept."""
        return False

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        """These settings for a training that starts from weights that were trained before.

        ``work`` is its length as a share of that of a full training, ``peak`` its highest learning rate as a share,
        ``warmup_steps`` what it takes at most to reach it. A task with a schedule of its own says what they mean there.
        """
        steps = max(1, round(work * self.steps))
        return self.model_copy(update={"steps": steps, "validate_every": self._validated_as_often(steps)})

    def _validated_as_often(self, steps: int) -> int:
        """Steps between validations, so that a training of so many is validated as often."""
        return max(1, round(self.validate_every * steps / self.steps))

    @model_validator(mode="after")
    def _something_to_keep(self) -> Self:
        if self.keep_fitted and self.init_from is None:
            raise ValueError("keep_fitted: there is nothing to keep without init_from: name the weights to start from")
        return self


class OptimizerSettings(LoopSettings):
    """AdamW under a cosine schedule: ``learning_rate`` falls to ``final_learning_rate``."""

    learning_rate: float = Field(2e-3, gt=0, le=1)
    final_learning_rate: float = Field(2e-6, ge=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(1e-5, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="of a running mean of the weights, which is kept; 0: of none")

    def warm_started(self, work: float, peak: float, warmup_steps: int) -> Self:
        shorter = super().warm_started(work, peak, warmup_steps)
        return shorter.model_copy(
            update={
                "learning_rate": peak * self.learning_rate,
                "warmup_steps": min(warmup_steps, shorter.steps),
            }
        )

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} goes beyond steps = {self.steps}: lower it")
        return self


Weight = Annotated[float, Field(ge=0, le=1000)]


class TeacherSettings(Settings):
    """The pretrained networks in a loss and the weights of their terms, beside that of pixels and of the confidence.

    An interval of k applies the term on every k-th step, k times as strong.
    """

    l1: Weight = 1.0
    perceptual: Weight = 0.0
    perceptual_backbone: Literal["alex", "vgg"] = "alex"
    perceptual_interval: int = Field(1, ge=1, le=1000)
    identity: Weight = 0.0
    identity_interval: int = Field(1, ge=1, le=1000)
    identity_network: Literal["sface", "facenet"] = "sface"
    confidence: Weight = 0.1

    @property
    def networks(self) -> list[str]:
        """The names of the pretrained weights that teach."""
        perceptual = [f"lpips_{self.perceptual_backbone}"] if self.perceptual else []
        return perceptual + ([self.identity_network] if self.identity else [])

    @property
    def uses(self) -> dict[str, list[str]]:
        """These networks, each with what it is used for."""
        what = ["perceptual loss"] if self.perceptual else []
        what += ["identity loss"] if self.identity else []
        return {network: [use] for network, use in zip(self.networks, what, strict=True)}
