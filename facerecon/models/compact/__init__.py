"""A small network that enlarges degraded images: its options."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from facerecon.models import register_model
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.compact.network import Compact


class CompactOptions(Settings):
    """Convolutions at the size of the small image, and how much larger the restored one is."""

    features: int = Field(64, ge=4, le=256, description="channels of each convolution")
    depth: int = Field(12, ge=1, le=64, description="convolutions, beside the first and the last")
    scale: Literal[2, 4] = Field(4, description="the restored image's side over that of the given one")
    confidence: bool = Field(True, description="with a confidence head")


@register_model(CompactOptions, task="restoration")
def compact(options: CompactOptions) -> "Compact":
    """Build the network."""
    from facerecon.models.compact.network import Compact

    return Compact(options)
