"""A U-Net that restores degraded images: its options and variants."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.models.settings import Features
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.unet.network import UNet


class UNetOptions(Settings):
    """``features``: channels of each level, from the finest, at 1 / ``fold`` of the image's size, to the bottleneck."""

    features: Features = (32, 64, 128, 192)
    fold: Literal[1, 2, 4, 8] = Field(2, description="side of the blocks of pixels that are folded into channels")
    norm: Literal["batch", "instance"] = Field("batch", description="of batches, or of each image by itself")
    confidence: bool = Field(True, description="with a confidence head")

    @property
    def stride(self) -> int:
        """Pixels of the image along a side of one pixel of the bottleneck."""
        return self.fold * 2 ** (len(self.features) - 1)

    def check_size(self, size: int) -> None:
        """See that the network can be trained on images of ``size`` x ``size`` pixels.

        Raises:
            ValueError: a single pixel is left at the bottleneck, which instance normalisation sets to a constant.
        """
        if self.norm == "instance" and size <= self.stride:
            raise ValueError(
                f"model.options.norm: instance, and of {size} px one pixel is left at the bottleneck, which has no "
                f"variance: expected more than {self.stride} px; take fewer features, a smaller fold, or norm: batch"
            )


LARGE = UNetOptions(fold=1, features=(32, 64, 128, 256, 512))
"""Without folding, as published: for a GPU."""


@register_model(UNetOptions, variants={"large": LARGE}, task="restoration")
def unet(options: UNetOptions) -> "UNet":
    """Build the U-Net."""
    from facerecon.models.unet.network import UNet

    return UNet(options)
