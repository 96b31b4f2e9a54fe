"""A whole run. Unknown keys and values out of range are refused."""

from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from facerecon.corruption.settings import MaskSettings
from facerecon.data.alignment import AlignmentSettings
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES
from facerecon.data.validation.settings import ValidationSettings
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import PromotionSettings
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.export.settings import OnnxSettings
from facerecon.models.settings import ModelSettings
from facerecon.settings import Settings, first_problem
from facerecon.training.settings import TrainingSettings


class RunSettings(Settings):
    """A whole run; what stands under ``parameters:`` in a file of ``configs/``."""

    name: str = Field("demo", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    data: DataSettings = Field(default_factory=DataSettings)
    alignment: AlignmentSettings = Field(default_factory=AlignmentSettings)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    masks: MaskSettings = Field(default_factory=MaskSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    onnx: OnnxSettings = Field(default_factory=OnnxSettings)
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)

    @field_validator("data")
    @classmethod
    def _known_source(cls, data: DataSettings) -> DataSettings:
        if data.source not in SOURCES:
            raise ValueError(f"source: '{data.source}' not among {', '.join(sorted(SOURCES))}")
        return data

    @model_validator(mode="after")
    def _the_gate_is_not_the_teacher(self) -> Self:
        if both := set(self.promotion.judges) & set(self.training.losses.networks):
            taught = ", ".join(sorted(both))
            raise ValueError(f"promotion: {taught} teaches in training.losses and must not judge: choose another there")
        return self


def parse_settings(parameters: dict[str, Any], where: str) -> RunSettings:
    """Settings from plain values; ``where`` names their origin in the error.

    Raises:
        FaceReconError: one line with the first wrong key, its value and what is allowed.
    """
    try:
        return RunSettings.model_validate(parameters)
    except ValidationError as error:
        raise FaceReconError(f"{where}: {first_problem(error, 'parameters', RunSettings)}") from error
