"""What the training loop needs of landmarks: faces cut anew, the objective, the validation."""

import logging
from collections.abc import Sequence
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import nn

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.manifest import Manifest
from facerecon.errors import DivergedError, FaceReconError
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.models import build_model, model_options
from facerecon.models.landmarks import LandmarkModel
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import Row, TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.landmarks.calibrate import calibrated
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.dataset import Batch, Sample, TrainingFaces, collate, samples
from facerecon.tasks.landmarks.evaluator import find_by_model, measure, measured_faces
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import DEPTH, NME
from facerecon.tasks.landmarks.objective import LandmarkObjective
from facerecon.tasks.landmarks.training_settings import TrainingSettings
from facerecon.tasks.landmarks.truth import known_faces
from facerecon.training.warm_start import load_initial

LOG = logging.getLogger(__name__)

VAL = "val"

SHAPED = 256
"""Crops whose points make the mean shape."""


class TrainingPart(Settings):
    """What a training needs."""

    degradations: DegradationSettings
    model: ModelSettings
    training: TrainingSettings
    seed: int


class LandmarkProblem:
    """Landmarks for the training loop; checkpoints are ranked by the mean NME over all conditions.

    One that learns no points is ranked by the depth's RMSE, where that can be measured.
    """

    def __init__(
        self, settings: TrainingPart, faces: Manifest, cases: LandmarkCases, initial: TrainedModel | None = None
    ) -> None:
        """Raises FaceReconError if the train or the val split has no face whose points are known."""
        self.settings, self.manifest, self.cases, self.initial = settings, faces, cases, initial
        self.training, self.seed = settings.training, settings.seed
        names = faces.split("train")["face"].tolist()
        degrade = TrainingDegradations(settings.degradations, faces.size)
        self.faces = TrainingFaces(faces, known_faces(faces, names), settings.training, degrade, settings.seed)
        self.val = measured_faces(faces, cases, VAL, settings.training.validation_faces)
        if lost := len(names) - len(self.faces):
            LOG.info("%d of %d training faces have no usable points: left out of this task", lost, len(names))
        for split, count in (("train", len(self.faces)), (VAL, len(self.val))):
            if not count:
                raise FaceReconError(
                    f"the {split} split has no face whose points are known "
                    f"({faces.faces['identity'].nunique()} identities in all): give more people, or raise the split's "
                    "share in data.splits"
                )
        learns_points = bool(settings.training.losses.points) or not self.val[0].exact
        self.checkpoint_metric = NME if learns_points else DEPTH
        self.checkpoint_key = str(MetricKey(VAL, self.checkpoint_metric.name, ALL))

    def dataset(self) -> TrainingFaces:
        return self.faces

    def sources(self) -> Sequence[str]:
        return self.faces.sources

    def collate(self, batch: Sequence[Sample]) -> Batch:
        return collate(batch)

    def objective(self, fabric: Fabric, new: bool) -> LandmarkObjective:
        chosen, size = self.settings.model, self.manifest.size
        model = cast(LandmarkModel, build_model(chosen.family, chosen.options))
        # the layout that convolutions are fastest in, on CPU and GPU
        model = model.to(memory_format=torch.channels_last)
        if new and self.initial is not None:
            load_initial(model, self.initial, chosen, size, self.cases.task)
            model.confidence_scale.fill_(1.0)
            model.confidence_shift.fill_(0.0)
        elif new:
            model.load_pretrained()
            shapes = samples(self.faces, SHAPED).points
            model.mean_shape.copy_(torch.from_numpy(shapes.mean(axis=0) / size))
        return LandmarkObjective(model, self.training, fabric)

    def validate(self, module: nn.Module, device: torch.device) -> Row:
        """NME of each condition and their mean, and the depth's RMSE, on the val faces whose truth is exact if any is.

        Raises:
            DivergedError: what the model gives is not finite.
        """
        module.eval()
        find = find_by_model(cast(LandmarkModel, module), device)
        scores = measure(VAL, {MODEL: find}, self.val[0], self.cases)
        module.train()
        row: Row = {}
        for key in scores.keys:
            if key.metric == NME.name or (key.metric, key.case) == (DEPTH.name, ALL):
                value = scores.mean(key, MODEL)
                if value is not None:
                    row[str(key)] = value
        if self.checkpoint_key not in row:
            raise DivergedError("training: what the model gives on val is no number: lower training.learning_rate")
        return row

    def trained(self, module: nn.Module, step: int) -> TrainedModel:
        family, size = self.settings.model.family, self.manifest.size
        weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        # with the defaults of today: others, some day, would build another network for these weights
        options = model_options(family, self.settings.model.options).model_dump(mode="json")
        return TrainedModel(family, options, size, step, weights, task=self.cases.task)

    def finish(self, best: TrainedModel, device: torch.device) -> TrainedModel:
        return calibrated(best, self.val[0], self.cases, device)


def problem(
    settings: TrainingPart, faces: Manifest, cases: LandmarkCases, initial: TrainedModel | None = None
) -> LandmarkProblem:
    """What the training loop trains."""
    return LandmarkProblem(settings, faces, cases, initial)
