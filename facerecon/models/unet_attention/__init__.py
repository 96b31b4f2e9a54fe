"""A U-Net with additive attention gates on its skips: its options."""

from typing import TYPE_CHECKING

from pydantic import Field

from facerecon.models import register_model
from facerecon.models.settings import Features
from facerecon.settings import Settings

if TYPE_CHECKING:
    from facerecon.models.unet_attention.network import UNetAttention


class UNetAttentionOptions(Settings):
    """``features``: channels of each level, from the finest to the bottleneck."""

    features: Features = (16, 32, 64, 128, 256)
    attention: bool = Field(True, description="with gates on the skips and at the bottleneck; without: a plain U-Net")
    confidence: bool = Field(True, description="with a confidence head")


@register_model(UNetAttentionOptions)
def unet_attention(options: UNetAttentionOptions) -> "UNetAttention":
    """Build the attention U-Net."""
    from facerecon.models.unet_attention.network import UNetAttention

    return UNetAttention(options)
