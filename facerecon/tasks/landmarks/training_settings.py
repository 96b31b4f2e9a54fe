"""How a landmark network is trained. Imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from facerecon.data.augmentation import AugmentationSettings
from facerecon.settings import Settings
from facerecon.training.settings import OptimizerSettings, Weight


class LossSettings(Settings):
    """Weights of the terms; points and depth in shares of the face's box."""

    points: Weight = 1.0
    depth: Weight = 0.3
    confidence: Weight = 0.02
    kind: Literal["l1", "mse", "wing", "mse_mae"] = Field(
        "l1", description="of points and depth; wing: Feng et al., 2018; mse_mae: the sum of mse and l1"
    )


class PlacementSettings(Settings):
    """How a crop lies about a face. Nothing of it depends on where the sought points are but through their box."""

    shift: float = Field(0.08, ge=0, le=0.5, description="largest, as a share of the crop's side, either way")
    rotation: float = Field(15, ge=0, le=180, description="degrees, either way")
    scale: tuple[float, float] = Field((0.95, 1.3), description="of the side, least and most")


class TrainingSettings(OptimizerSettings):
    """How the network is trained."""

    losses: LossSettings = Field(default_factory=LossSettings)
    placement: PlacementSettings = Field(default_factory=PlacementSettings)
    without_face: float = Field(
        0.1, ge=0, lt=1, description="share of the crops that show no face: there the confidence is to be 0"
    )
    augmentation: AugmentationSettings = Field(
        default_factory=lambda: AugmentationSettings(blur=0),
        description="of the crop before it is degraded; the placement turns it, so that this must not",
    )

    @model_validator(mode="after")
    def _turned_once(self) -> Self:
        if self.augmentation.rotation:
            raise ValueError(
                f"augmentation.rotation = {self.augmentation.rotation:g}: crops are turned by placement.rotation: "
                "set that, and leave this at 0"
            )
        return self
