"""What a run is made of: bounded settings, one model per part. Unknown keys and values out of range are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from facerecon.corruption.curriculum import Curriculum
from facerecon.corruption.masks import EVALUATION_FAMILIES, TRAINING_FAMILIES
from facerecon.data.sources import SOURCES
from facerecon.errors import FaceReconError
from facerecon.models import model_options
from facerecon.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Level = Literal[1, 2, 3]


class SplitShares(Settings):
    """Shares of the identities, not of the photos; they sum to 1."""

    train: Share = 0.7
    val: Share = 0.1
    gate: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitShares":
        total = self.train + self.val + self.gate + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four shares sum to {total:g}, they must sum to 1")
        return self


class DataSettings(Settings):
    """Where the faces come from. A relative ``path`` starts at the project's root."""

    source: str = Field("folder", description="layout on disk: a name from facerecon.data.sources")
    path: str = Field("data/sample", min_length=1)
    licence: str = Field("unknown", description="licence of the photographs, printed in the model card")
    max_faces: int | None = Field(None, ge=1, description="keep only so many photos, chosen by hash; null keeps all")
    splits: SplitShares = Field(default_factory=SplitShares)


class AlignmentSettings(Settings):
    """How a face is cut out. ``size`` is the side of the square crop in pixels."""

    size: int = Field(64, ge=64, le=512, multiple_of=16)
    no_face: Literal["quarantine", "fail"] = "quarantine"
    several_faces: Literal["largest", "all", "quarantine"] = "largest"
    min_confidence: Share = 0.5
    max_padding: Share = Field(0.2, description="largest share of a crop that may lie outside its photograph")
    workers: int = Field(2, ge=1, le=256)


class ValidationSettings(Settings):
    """What the data must fulfil before anything is trained on it."""

    min_found_share: Share = Field(0.8, description="share of readable photos in which a face must be found")
    min_faces: int = Field(8, ge=1)
    min_sharpness: float = Field(0.0, ge=0, description="variance of the Laplacian of the gray crop, 0..255 scale")
    brightness: tuple[float, float] = Field((8.0, 247.0), description="allowed mean luma of a crop, 0..255")
    max_yaw: float = Field(90.0, gt=0, le=180)
    mostly: Share = Field(0.95, description="share of rows that must lie in the ranges")

    @field_validator("brightness")
    @classmethod
    def _ordered(cls, brightness: tuple[float, float]) -> tuple[float, float]:
        if brightness[0] > brightness[1]:
            raise ValueError("give the lower bound first")
        return brightness


class MaskSettings(Settings):
    """Which masks are trained on and evaluated."""

    training_families: tuple[str, ...] = ("brush", "boxes", "noise", "scatter")
    feature_share: Share = Field(0.1, description="share of training masks that hide a part of the face")
    evaluation_families: tuple[str, ...] = ("brush", "boxes", "noise", "scatter", "held_out")
    evaluate_features: bool = Field(True, description="also report eyes, brows, nose, mouth and jaw, each alone")
    levels: tuple[Level, ...] = Field((1, 2, 3), min_length=1)
    count: int = Field(256, ge=8, le=4096, description="frozen evaluation masks per level and family")
    curriculum: Curriculum = Field(default_factory=Curriculum)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _known_families(self) -> "MaskSettings":
        for key, chosen, known in (
            ("training_families", self.training_families, TRAINING_FAMILIES),
            ("evaluation_families", self.evaluation_families, EVALUATION_FAMILIES),
        ):
            if unknown := sorted(set(chosen) - set(known)):
                raise ValueError(f"{key}: {', '.join(unknown)} not among {', '.join(known)}")
        if not self.training_families:
            raise ValueError("training_families: name at least one")
        if "brush" not in self.evaluation_families:
            raise ValueError("evaluation_families: must contain 'brush', on which checkpoints and promotion decide")
        return self


class ModelSettings(Settings):
    """Which network. ``options`` are the family's own and are checked by it."""

    family: str = "unet_attention"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_options(self) -> "ModelSettings":
        try:
            model_options(self.family, self.options)
        except ValidationError as error:
            raise ValueError(_first(error, "options", type(model_options(self.family, {})))) from error
        except FaceReconError as error:
            raise ValueError(error.message) from error
        return self


class LossSettings(Settings):
    """Weights of the terms; an interval of k applies the term on every k-th step, k times as strong."""

    l1: Weight = 1.0
    hole: Weight = 6.0
    perceptual: Weight = 0.8
    perceptual_interval: int = Field(1, ge=1, le=1000)
    identity: Weight = 0.1
    identity_interval: int = Field(1, ge=1, le=1000)
    identity_network: Literal["sface", "facenet"] = "sface"
    confidence: Weight = 0.1


class AugmentationSettings(Settings):
    """Changes of image and target alike. Angles in degrees; the others are largest relative changes."""

    flip: Share = 0.5
    rotation: float = Field(15.0, ge=0, le=45)
    brightness: Share = 0.2
    contrast: Share = 0.2
    colour: Share = 0.2
    blur: Share = Field(0.1, description="probability of a slight Gaussian blur")


class TrainingSettings(Settings):
    """The length is given in optimiser steps. ``learning_rate`` falls to ``final_learning_rate`` along a cosine."""

    steps: int = Field(600, ge=1, le=100_000_000)
    batch_size: int = Field(16, ge=1, le=4096)
    accumulate: int = Field(1, ge=1, le=1024, description="batches per optimiser step")
    learning_rate: float = Field(2e-3, gt=0, le=1)
    final_learning_rate: float = Field(2e-6, ge=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(1e-5, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    threads: int | None = Field(None, ge=1, description="CPU threads; null leaves it to PyTorch")
    loader_workers: int = Field(0, ge=0, le=128)
    validate_every: int = Field(100, ge=1, description="steps between validations and checkpoints")
    validation_faces: int = Field(64, ge=1)
    losses: LossSettings = Field(default_factory=LossSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)


class EvaluationSettings(Settings):
    """How much is measured on the test split."""

    max_faces: int = Field(200, ge=1)
    lpips_backbone: Literal["vgg", "alex"] = "vgg"
    identity_network: Literal["sface", "facenet"] = "sface"
    samples: int = Field(8, ge=1, le=64, description="faces shown in the report's grids")


class OnnxSettings(Settings):
    """The ONNX file and what it must fulfil."""

    min_parity_psnr: float = Field(100.0, ge=0, description="dB for a peak of 2, ONNX Runtime against PyTorch")
    parity_faces: int = Field(8, ge=1, le=256)


class PromotionSettings(Settings):
    """When a challenger becomes champion: mean hole PSNR (brush, gate split) better by ``margin`` dB."""

    margin: float = Field(0.05, ge=0)
    max_faces: int = Field(200, ge=1)


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


def parse_settings(parameters: dict[str, Any], where: str) -> RunSettings:
    """Settings from plain values; ``where`` names their origin in the error.

    Raises:
        FaceReconError: one line with the first wrong key, its value and what is allowed.
    """
    try:
        return RunSettings.model_validate(parameters)
    except ValidationError as error:
        raise FaceReconError(f"{where}: {_first(error, 'parameters', RunSettings)}") from error


def _first(error: ValidationError, prefix: str, root: type[BaseModel]) -> str:
    """The first of pydantic's errors about ``root`` as one line that names the key, the value and what is allowed."""
    first = error.errors()[0]
    key = ".".join((prefix, *map(str, first["loc"])))
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key; allowed here: {', '.join(_siblings(root, first['loc']))}"
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if isinstance(first["input"], dict | Settings) else f" = {first['input']!r}"
    return f"{key}{value}: {reason}"


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where ``location`` points below ``model``, from the settings' own declarations."""
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return list(model.model_fields)
