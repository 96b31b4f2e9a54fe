"""By which judges an inpainting model is measured. Imports no torch."""

from typing import Literal

from pydantic import Field

from facerecon.evaluation.settings import EvaluationSettings

Backbone = Literal["vgg", "alex"]
IdentityJudge = Literal["dlib", "sface", "facenet"]


class InpaintingEvaluationSettings(EvaluationSettings):
    """How much is measured on the test split, and by which judges."""

    lpips_backbone: Backbone = "vgg"
    identity_network: IdentityJudge = "dlib"
    as_used: int = Field(50, ge=0, description="so many of the faces are also measured as used; 0 turns it off")

    @property
    def judges(self) -> tuple[str, str]:
        """The names of the pretrained weights that judge."""
        return f"lpips_{self.lpips_backbone}", self.identity_network
