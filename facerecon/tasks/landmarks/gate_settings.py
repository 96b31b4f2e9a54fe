"""When a landmark model takes the champion's place. Imports no torch."""

from collections.abc import Sequence

from pydantic import Field

from facerecon.evaluation.promotion import Guard, PromotionSettings, Rule
from facerecon.tasks.landmarks.metrics import DEPTH, FAILURE, NME, NME_3D

ALL = "all_conditions"
"""The case whose figures are means over all conditions, face by face."""


class LandmarkPromotionSettings(PromotionSettings):
    """The gate key is the mean NME over all conditions."""

    margin: float = Field(0.02, ge=0, le=100, description="least gain in NME, per cent")
    max_loss_old: float = Field(0.1, ge=0, description="of NME where the gate has old faces apart, interval")
    max_condition_loss: float = Field(0.2, ge=0, description="of NME under one condition, interval included")
    max_3d_loss: float = Field(0.2, ge=0, description="of NME in 3D, likewise")
    max_depth_loss: float = Field(0.1, ge=0, description="of the depth's RMSE in mm, likewise")
    max_failures: float = Field(1.0, ge=0, le=100, description="points by which more faces may fail, interval included")

    def rule(self, conditions: Sequence[str], depth: bool) -> Rule:
        """The gate key and the guards under these ``conditions``; ``depth``: whether it can be measured."""
        guards = [Guard(f"NME under {name} no worse", NME, name, self.max_condition_loss) for name in conditions]
        guards += [
            Guard("NME in 3D no worse", NME_3D, ALL, self.max_3d_loss),
            Guard("failures no more", FAILURE, ALL, self.max_failures),
        ]
        if depth:
            guards.append(Guard("depth no worse", DEPTH, ALL, self.max_depth_loss))
        return Rule(metric=NME, case=ALL, settings=self, guards=tuple(guards))
