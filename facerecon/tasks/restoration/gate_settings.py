"""When a restoration model takes the champion's place. Imports no torch."""

from pydantic import Field

from facerecon.evaluation.image_metrics import CEILING, WHOLE_PSNR, identity, lpips
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.promotion import Guard, PromotionSettings, Rule
from facerecon.evaluation.settings import JudgeSettings
from facerecon.tasks.restoration.metrics import rank_one

INPUT = "input"
"""The degraded face itself, enlarged bicubically where the model enlarges, as if it were a method."""

FEWEST_RECOGNISED = 50
"""With fewer people of two photos or more at the gate, whether they are still recognised is not measured."""


class RestorationPromotionSettings(JudgeSettings, PromotionSettings):
    """The gate key is LPIPS under the first of the evaluated degradations."""

    margin: float = Field(0.002, ge=0, le=2, description="least gain in LPIPS")
    max_loss_old: float = Field(0.005, ge=0, description="of LPIPS where the gate has old faces apart, interval")
    max_psnr_loss: float = Field(0.3, ge=0, le=20, description="dB by which PSNR may be lower, interval included")
    max_identity_loss: float = Field(0.005, ge=0, le=2, description="by how much the cosine may be lower, likewise")
    max_rank1_loss: float = Field(
        0.02, ge=0, le=1, description="by how much rank 1 may be lower than that of the faces as they were, likewise"
    )

    @property
    def metrics(self) -> tuple[Metric, Metric, Metric, Metric]:
        """What is measured at the gate: LPIPS, PSNR, identity, rank 1."""
        network = self.identity_network
        psnr = WHOLE_PSNR.model_copy(update={"ceiling": CEILING})
        return lpips(self.lpips_backbone), psnr, identity(network), rank_one(network)

    def rule(self, case: str, recognised: bool) -> Rule:
        """The gate key and the guards under the deciding ``case``; ``recognised``: whether rank 1 can be measured."""
        distance, psnr, cosine, first = self.metrics
        guards = [
            Guard("PSNR no worse", psnr, case, self.max_psnr_loss),
            Guard("identity no worse", cosine, case, self.max_identity_loss),
        ]
        if recognised:
            guards.append(Guard("recognised as before", first, case, self.max_rank1_loss, against=INPUT))
        return Rule(metric=distance, case=case, settings=self, guards=tuple(guards))
