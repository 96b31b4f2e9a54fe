"""When an inpainting model takes the champion's place. Imports no torch."""

from pydantic import Field

from facerecon.evaluation.image_metrics import identity, lpips
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.promotion import Guard, PromotionSettings, Rule
from facerecon.evaluation.settings import JudgeSettings
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE


class InpaintingPromotionSettings(JudgeSettings, PromotionSettings):
    """The gate key is hole PSNR of brush masks, mean over the levels, in dB."""

    margin: float = Field(0.05, ge=0, le=20, description="least gain in hole PSNR, dB, brush, mean over the levels")
    max_lpips_loss: float = Field(0.01, ge=0, le=1, description="by how much LPIPS may be higher, interval included")
    max_identity_loss: float = Field(0.005, ge=0, le=2, description="by how much the cosine may be lower, likewise")
    max_hole_psnr_loss: float = Field(0.2, ge=0, le=20, description="dB that any family and level may lose, mean")

    @property
    def metrics(self) -> tuple[Metric, Metric, Metric]:
        """What is measured at the gate: hole PSNR, LPIPS, identity."""
        return HOLE_PSNR, lpips(self.lpips_backbone), identity(self.identity_network)

    @property
    def rule(self) -> Rule:
        """The gate key and the guards."""
        hole_psnr, distance, cosine = self.metrics
        return Rule(
            metric=hole_psnr,
            case=MAIN_CASE,
            settings=self,
            guards=(
                Guard("LPIPS no worse", distance, MAIN_CASE, self.max_lpips_loss),
                Guard("identity no worse", cosine, MAIN_CASE, self.max_identity_loss),
                Guard("every family and level", hole_psnr, None, self.max_hole_psnr_loss, interval=False),
            ),
        )
