"""What Great Expectations asks of the data."""

from pydantic import Field, field_validator

from facerecon.config.base import Settings, Share


class ValidationSettings(Settings):
    """What the data must fulfil before anything is trained on it."""

    min_found_share: Share = Field(0.8, description="share of readable photos in which a face must be found")
    min_faces: int = Field(8, ge=1)
    min_sharpness: float = Field(0.0, ge=0, description="variance of the Laplacian of the gray crop, 0..255 scale")
    brightness: tuple[float, float] = Field((8.0, 247.0), description="allowed mean luma of a crop, 0..255")
    max_yaw: float = Field(90.0, gt=0, le=180)
    mostly: Share = Field(0.95, description="share of rows that must lie in the ranges")

    @field_validator("brightness")
    @classmethod
    def _ordered(cls, brightness: tuple[float, float]) -> tuple[float, float]:
        if brightness[0] > brightness[1]:
            raise ValueError("give the lower bound first")
        return brightness
