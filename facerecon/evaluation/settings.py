"""What is measured, and by which judges. Imports no torch."""

from typing import Literal

from pydantic import Field

from facerecon.settings import Settings

Backbone = Literal["vgg", "alex"]
IdentityJudge = Literal["dlib", "sface", "facenet"]


class EvaluationSettings(Settings):
    """How much is measured on the test split."""

    max_faces: int = Field(200, ge=1)
    samples: int = Field(8, ge=1, le=64, description="faces shown in the report's grids")


class JudgeSettings(Settings):
    """The networks that judge images of faces."""

    lpips_backbone: Backbone = "vgg"
    identity_network: IdentityJudge = "dlib"

    @property
    def judges(self) -> tuple[str, str]:
        """The names of the pretrained weights that judge: of LPIPS, of identity."""
        return f"lpips_{self.lpips_backbone}", self.identity_network
