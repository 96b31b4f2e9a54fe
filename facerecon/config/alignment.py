"""How a face is cut out."""

from typing import Literal

from pydantic import Field

from facerecon.config.base import Settings, Share


class AlignmentSettings(Settings):
    """How a face is cut out. ``size`` is the side of the square crop in pixels."""

    size: int = Field(64, ge=64, le=512, multiple_of=16)
    no_face: Literal["quarantine", "fail"] = "quarantine"
    several_faces: Literal["largest", "all", "quarantine"] = "largest"
    min_confidence: Share = 0.5
    max_padding: Share = Field(0.2, description="largest share of a crop that may lie outside its photograph")
    workers: int = Field(2, ge=1, le=256)
