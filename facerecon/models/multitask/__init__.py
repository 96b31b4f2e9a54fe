"""A small network that finds landmarks and depth at once: its options and variants."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.models.fpn import PRETRAINED
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.multitask.network import Multitask


class MultitaskOptions(Settings):
    """A backbone, how wide the decoder is, how points are read from it, and what moves them then."""

    backbone: Literal["mobilenet_v2", "efficientnet_lite0"] = Field(
        "mobilenet_v2", description="the encoder: the former starts from scratch, the latter from ImageNet"
    )
    width: int = Field(64, ge=8, le=512, multiple_of=4, description="channels of the decoder")
    points: Literal["soft_argmax", "regression"] = Field(
        "soft_argmax", description="the mean place of a heat map at a quarter of the image's size, or a linear layer"
    )
    refine: Literal["none", "mlp", "graph"] = Field(
        "none",
        description="what moves the points by the features at them: a perceptron for each point by itself, or a graph "
        "network on the points and their neighbours, of as many weights",
    )

    @property
    def pretrained_weights(self) -> tuple[str, ...]:
        """The rows of ``facerecon.weights`` that a new training starts from."""
        return PRETRAINED[self.backbone]


@register_model(MultitaskOptions, task="landmarks")
def multitask(options: MultitaskOptions) -> "Multitask":
    """Build the network."""
    from facerecon.models.multitask.network import Multitask

    return Multitask(options)
