"""How a restoration network is trained. Imports no torch."""

from typing import Self

from pydantic import Field, model_validator

from facerecon.data.augmentation import AugmentationSettings
from facerecon.tasks.restoration.adversarial_settings import AdversarialSettings
from facerecon.training.settings import OptimizerSettings, TeacherSettings, Weight


class LossSettings(TeacherSettings):
    """Weights of the terms."""

    perceptual: Weight = 0.1
    identity: Weight = 0.02
    identity_interval: int = Field(8, ge=1, le=1000)


class TrainingSettings(OptimizerSettings):
    """How the network is trained; with ``adversarial``, beside a discriminator."""

    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(
        default_factory=lambda: AugmentationSettings(blur=0),
        description="of the true image: no blur, which it would learn",
    )
    adversarial: AdversarialSettings | None = None

    @property
    def validates_start(self) -> bool:
        """What a discriminator changes shows only beside where it began."""
        return self.adversarial is not None

    @model_validator(mode="after")
    def _one_scaler_for_one_network(self) -> Self:
        if self.adversarial is not None and self.precision == "16-mixed":
            raise ValueError(
                "precision = 16-mixed with adversarial: one scaler cannot serve two losses: take bf16-mixed or 32-true"
            )
        return self
