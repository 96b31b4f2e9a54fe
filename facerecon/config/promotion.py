"""When a new model takes the champion's place."""

from pydantic import Field

from facerecon.config.base import Settings


class PromotionSettings(Settings):
    """When a challenger becomes champion: mean hole PSNR (brush, gate split) better by ``margin`` dB."""

    margin: float = Field(0.05, ge=0)
    max_faces: int = Field(200, ge=1)
