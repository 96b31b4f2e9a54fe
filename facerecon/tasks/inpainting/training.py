"""What the training loop needs of inpainting: faces under drawn masks, the objective, the validation."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import DivergedError, FaceReconError
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.models import ReconstructionModel, build_model, model_options
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import Row, TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.inpainting.calibrate import calibrated
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.dataset import Batch, TrainingFaces, collate
from facerecon.tasks.inpainting.evaluator import Evaluator, MaskCase, fill_by_model, mask_cases, measure
from facerecon.tasks.inpainting.metrics import HOLE_L1, HOLE_PSNR, MAIN_CASE
from facerecon.tasks.inpainting.objective import InpaintingObjective
from facerecon.tasks.inpainting.training_settings import TrainingSettings
from facerecon.training.warm_start import load_initial

VAL = "val"

FITTED_FACES = 20_000
"""Faces at most to which what has a closed form is fitted: more would change little."""


class TrainingPart(Settings):
    """What a training needs."""

    masks: MaskSettings
    degradations: DegradationSettings | None = None
    model: ModelSettings
    training: TrainingSettings
    seed: int


class InpaintingProblem:
    """Inpainting for the training loop; checkpoints are ranked by hole L1 under brush masks, mean over the levels."""

    checkpoint_metric = HOLE_L1
    checkpoint_key = f"{VAL}/{HOLE_L1.name}/{MAIN_CASE}"

    def __init__(
        self,
        settings: TrainingPart,
        faces: Manifest,
        cases: MaskCases,
        initial: TrainedModel | None = None,
    ) -> None:
        """Raises FaceReconError if the train or the val split has no face."""
        self.settings, self.manifest, self.masks, self.initial = settings, faces, cases.masks, initial
        self.training, self.seed = settings.training, settings.seed
        training = settings.training
        draw = TrainingMasks(settings.masks, faces.size)
        chosen = settings.degradations
        degrade = None if chosen is None else TrainingDegradations(chosen, faces.size)
        self.faces = TrainingFaces(faces, training.augmentation, draw, settings.seed, degrade)
        self.val_faces: EvaluationFaces = evaluation_faces(faces, VAL, training.validation_faces)
        for split, count in (("train", len(self.faces)), (VAL, len(self.val_faces))):
            if not count:
                raise FaceReconError(
                    f"the {split} split has no face ({faces.faces['identity'].nunique()} identities in all): "
                    "give more people, or raise the split's share in data.splits"
                )
        self.val_cases: list[MaskCase] = mask_cases(self.val_faces, self.masks, MAIN_CASE)

    def dataset(self) -> TrainingFaces:
        return self.faces

    def sources(self) -> Sequence[str]:
        return self.faces.sources

    def collate(self, samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        return collate(samples)

    def objective(self, fabric: Fabric, new: bool) -> InpaintingObjective:
        chosen, training = self.settings.model, self.training
        # the layout that convolutions are fastest in, on CPU and GPU
        model = cast(ReconstructionModel, build_model(chosen.family, chosen.options))
        model = model.to(memory_format=torch.channels_last)
        if new:
            if self.initial is not None:
                load_initial(model, self.initial, chosen, self.manifest.size, "inpainting")
                model.confidence_scale.fill_(1.0)
                model.confidence_shift.fill_(0.0)
            if self.initial is None or not training.keep_fitted:
                model.fit(self.faces.unchanged(FITTED_FACES))
        return InpaintingObjective(model, training, fabric)

    def validate(self, module: nn.Module, device: torch.device) -> Row:
        return validate(module, self.val_faces, self.val_cases, device)

    def trained(self, module: nn.Module, step: int) -> TrainedModel:
        return trained_model(module, self.settings.model, self.manifest.size, step, self.training.losses.networks)

    def finish(self, best: TrainedModel, device: torch.device) -> TrainedModel:
        return calibrated(best, self.val_faces, self.masks, device)


def problem(
    settings: TrainingPart, faces: Manifest, cases: MaskCases, initial: TrainedModel | None = None
) -> InpaintingProblem:
    """What the training loop trains."""
    return InpaintingProblem(settings, faces, cases, initial)


def trained_model(
    module: nn.Module, settings: ModelSettings, size: int, step: int, teachers: Sequence[str] = ()
) -> TrainedModel:
    """The weights of ``module`` with what is needed to use them."""
    weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
    # with the defaults of today: others, some day, would build another network for these weights
    options = model_options(settings.family, settings.options).model_dump(mode="json")
    return TrainedModel(settings.family, options, size, step, weights, teachers=tuple(teachers))


def validate(module: nn.Module, faces: EvaluationFaces, cases: Sequence[MaskCase], device: torch.device) -> Row:
    """Hole L1, mean over the levels of the brush masks, and the mean hole PSNR of each level.

    Raises:
        DivergedError: what the model gives is not finite.
    """
    assert isinstance(module, ReconstructionModel)
    module.eval()
    evaluator = Evaluator(VAL, lambda case, method: (HOLE_L1, HOLE_PSNR))
    scores = measure(evaluator, {MODEL: fill_by_model(module, device)}, faces, cases, "")
    module.train()
    return _row(scores)


def _row(scores: Scores) -> Row:
    if any(np.isnan(scores.values(*column)).any() for column in scores):
        raise DivergedError("training: what the model gives on val is no number: lower training.learning_rate")
    hole_l1 = scores.mean_over_levels(VAL, HOLE_L1.name, MAIN_CASE, MODEL)
    assert hole_l1 is not None
    row: Row = {f"{VAL}/{HOLE_L1.name}/{MAIN_CASE}": hole_l1}
    for level in scores.levels(VAL, HOLE_PSNR.name, MAIN_CASE):
        key = MetricKey(VAL, HOLE_PSNR.name, MAIN_CASE, level)
        # an infinite PSNR is a hole filled exactly
        row[str(key)] = float(np.mean(scores.values(key, MODEL)))
    return row
