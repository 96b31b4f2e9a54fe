"""How a discriminator teaches. Imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from facerecon.settings import Settings, Share

Norm = Literal["batch", "instance", "none"]


class AdversarialSettings(Settings):
    """The discriminator, its loss and what keeps it from winning.

    The penalty is taken on the branches of ``penalty_on``. It asks how one image's logit changes with that image, which
    batch normalisation leaves undefined (Gulrajani et al., 2017): such a branch is refused there unless it is wanted
    ``as_published``.
    """

    loss: Literal["rals", "hinge"] = Field(
        "rals", description="relativistic average least squares (Jolicoeur-Martineau, 2018), or hinge"
    )
    weight: float = Field(0.01, gt=0, le=100, description="of the adversarial term in the generator's loss")
    learning_rate: float = Field(2e-4, gt=0, le=1)
    width: int = Field(32, ge=8, le=256, description="channels of the first layer")
    whole_norm: Norm = Field("batch", description="of the branch that sees the whole crop")
    patch_norm: Norm = Field("instance", description="of the branch that sees patches")
    penalty: Literal["r1", "wgan_gp", "none"] = Field(
        "r1", description="r1: squared gradient at real images (Mescheder et al., 2018); wgan_gp: its norm kept at 1"
    )
    penalty_on: Literal["patch", "whole", "both"] = "patch"
    penalty_weight: float = Field(1.0, ge=0, le=1000)
    penalty_interval: int = Field(4, ge=1, le=1000, description="on every k-th step, k times as strong")
    as_published: bool = Field(False, description="allow the penalty on a branch with batch normalisation")
    noise: float = Field(0.1, ge=0, le=2, description="standard deviation of noise on the discriminator's images")
    noise_until: Share = Field(0.7, description="share of the steps over which the noise fades to 0")
    start_share: float = Field(0.0, ge=0, lt=1, description="share of the steps before the discriminator teaches")
    win_loss: float = Field(0.01, ge=0, le=1, description="below it the discriminator has won a step")
    win_steps: int = Field(500, ge=1, description="so many won steps in a row end the run")

    @model_validator(mode="after")
    def _a_penalty_that_is_defined(self) -> Self:
        branches = ("whole", "patch") if self.penalty_on == "both" else (self.penalty_on,)
        batch = [branch for branch in branches if getattr(self, f"{branch}_norm") == "batch"]
        if self.penalty != "none" and batch and not self.as_published:
            raise ValueError(
                f"penalty_on: {self.penalty_on}, where {batch[0]}_norm is batch: a penalty on single images is not "
                "defined under batch normalisation: take instance or none, or say as_published"
            )
        return self
