"""When a new model takes the champion's place."""

from typing import Literal

from pydantic import Field

from facerecon.config.base import Settings


class PromotionSettings(Settings):
    """The rule by which a challenger becomes champion; it is asked on the gate split, of the same masks.

    Differences are challenger minus champion, paired by face; their intervals of ``confidence`` come from drawing
    people with replacement ``resamples`` times. With fewer people than can tell at that confidence (6 at 0.95) no
    champion is replaced.
    """

    margin: float = Field(0.05, ge=0, le=20, description="least gain in hole PSNR, dB, brush, mean over the levels")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="of the intervals; the gain's must lie above 0")
    resamples: int = Field(2000, ge=100, le=100_000)
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the resampling")
    max_lpips_loss: float = Field(0.01, ge=0, le=1, description="by how much LPIPS may be higher, interval included")
    max_identity_loss: float = Field(0.005, ge=0, le=2, description="by how much the cosine may be lower, likewise")
    max_hole_psnr_loss: float = Field(0.2, ge=0, le=20, description="dB that any family and level may lose, mean")
    max_faces: int = Field(200, ge=1)
    lpips_backbone: Literal["vgg", "alex"] = "vgg"
    identity_network: Literal["dlib", "sface", "facenet"] = "dlib"

    @property
    def judges(self) -> tuple[str, str]:
        """The names of the pretrained weights that judge at the gate."""
        return f"lpips_{self.lpips_backbone}", self.identity_network
