"""A U-Net that improves on a first fill: its options and variants."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.models.settings import Features
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.unet_fill.network import UNetFill


class UNetFillOptions(Settings):
    """``features``: channels of each level, from the finest, at 1 / ``fold`` of the image's size, to the bottleneck."""

    features: Features = (16, 32, 48, 96, 192)
    fold: Literal[1, 2, 4, 8] = Field(1, description="pixels of a row that are folded into channels")
    first_fill: Literal["prior", "smooth", "none"] = Field(
        "prior", description="start from what is to be expected of a face, from a smooth fill, or from holes of 0"
    )
    prior_grid: Literal[8, 16, 24, 32, 48, 64] = Field(48, description="cells in a row of the faces the prior is over")
    prior_components: int = Field(500, ge=1, le=2048, description="variations of faces that the prior knows at most")
    prior_iterations: int = Field(24, ge=1, le=200, description="steps in which the prior's fill is approached")
    prior_from: float = Field(
        0.65,
        ge=0,
        lt=1,
        description="share of a training's work before which it starts from a smooth fill in place of the prior: of "
        "what the prior already tells it, a network learns little",
    )
    confidence: bool = Field(True, description="with a head that says how sure the model is of each pixel")
    confidence_from: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a training's work before which that head is left out, which saves a fifth of a step; in "
        "some hundred steps it learns too little",
    )


SMALL = UNetFillOptions(fold=2, features=(16, 32, 64, 128), prior_grid=32, prior_components=256, prior_iterations=14)
"""A quarter of the default's multiplications: for slow machines, and where speed counts more than the last decibel."""


@register_model(UNetFillOptions, variants={"small": SMALL})
def unet_fill(options: UNetFillOptions) -> "UNetFill":
    """Build the U-Net that improves on a first fill."""
    from facerecon.models.unet_fill.network import UNetFill

    return UNetFill(options)
