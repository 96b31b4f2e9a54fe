"""What is measured."""

from typing import Literal

from pydantic import Field

from facerecon.settings import Settings


class EvaluationSettings(Settings):
    """How much is measured on the test split."""

    max_faces: int = Field(200, ge=1)
    lpips_backbone: Literal["vgg", "alex"] = "vgg"
    identity_network: Literal["dlib", "sface", "facenet"] = "dlib"
    samples: int = Field(8, ge=1, le=64, description="faces shown in the report's grids")
