"""A U-Net that improves on a first fill: its options and variants."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.models.settings import Features
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.unet_fill.network import UNetFill


class UNetFillOptions(Settings):
    """``features``: channels of each level, from the finest, at 1 / ``fold`` of the image's size, to the bottleneck."""

    SCHEDULE: ClassVar[frozenset[str]] = frozenset({"prior_from", "confidence_from"})
    """Options that say only when a training uses what: weights fit whatever they are."""

    features: Features = (16, 32, 48, 96, 192)
    fold: Literal[1, 2, 4, 8] = Field(1, description="side of the blocks of pixels that are folded into channels")
    first_fill: Literal["prior", "smooth", "none"] = Field(
        "prior", description="fill of the holes that the network starts from: the face prior's, a smooth one, or 0"
    )
    prior_grid: Literal[8, 16, 24, 32, 48, 64] = Field(48, description="side of the prior's grid, in cells")
    prior_components: int = Field(500, ge=1, le=2048, description="principal components of the prior, at most")
    prior_iterations: int = Field(24, ge=1, le=200, description="conjugate gradient steps of the prior")
    prior_from: float = Field(
        0.65,
        ge=0,
        lt=1,
        description="share of the training's work that uses a smooth fill before the prior replaces it: with the prior "
        "from the start, the network learns little",
    )
    confidence: bool = Field(True, description="with a confidence head")
    confidence_from: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the training's work before the confidence head is trained; without it, a step takes a "
        "fifth less time, but the head needs more than a few hundred steps",
    )


SMALL = UNetFillOptions(fold=2, features=(16, 32, 64, 128), prior_grid=32, prior_components=256, prior_iterations=14)
"""A quarter of the default's multiplications: for slow machines, and where speed counts more than the last decibel."""


@register_model(UNetFillOptions, variants={"small": SMALL})
def unet_fill(options: UNetFillOptions) -> "UNetFill":
    """Build the U-Net that improves on a first fill."""
    from facerecon.models.unet_fill.network import UNetFill

    return UNetFill(options)
