"""A feature pyramid on a small classification network that restores degraded images: its options and variants."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.fpn.network import FPN

PRETRAINED = {"mobilenet_v2": (), "efficientnet_lite0": ("efficientnet_lite0",)}
"""The pretrained weights of each backbone."""


class FPNOptions(Settings):
    """A backbone, and how many channels each level of the pyramid has."""

    backbone: Literal["mobilenet_v2", "efficientnet_lite0"] = Field(
        "mobilenet_v2", description="the encoder: the former starts from scratch, the latter from ImageNet"
    )
    width: int = Field(64, ge=8, le=512, multiple_of=4, description="channels of the pyramid")
    norm: Literal["batch", "instance"] = Field(
        "batch", description="of batches, or of each image by itself: then the backbone's statistics are fixed"
    )
    confidence: bool = Field(True, description="with a confidence head")

    @property
    def pretrained_weights(self) -> tuple[str, ...]:
        """The rows of ``facerecon.weights`` that a new training starts from."""
        return PRETRAINED[self.backbone]


PUBLISHED = FPNOptions(width=128, norm="instance")
"""As wide as published."""


@register_model(FPNOptions, variants={"published": PUBLISHED}, task="restoration")
def fpn(options: FPNOptions) -> "FPN":
    """Build the feature pyramid network."""
    from facerecon.models.fpn.network import FPN

    return FPN(options)
