"""What the training loop needs of restoration: degraded faces, the objective, the validation."""

from collections.abc import Sequence
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import DivergedError, FaceReconError
from facerecon.evaluation.image_metrics import WHOLE_PSNR, lpips
from facerecon.evaluation.judges import Judges, Truth
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.promotion import MODEL
from facerecon.models import build_model, model_options
from facerecon.models.restoration import RestorationModel
from facerecon.models.settings import ModelSettings, scale_of
from facerecon.models.trained import Row, TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.restoration.adversarial import Adversary
from facerecon.tasks.restoration.calibrate import calibrated
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.dataset import Batch, TrainingFaces, collate
from facerecon.tasks.restoration.evaluator import Restored, measure, restore_by_model
from facerecon.tasks.restoration.objective import RestorationObjective
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.training.warm_start import load_initial

VAL = "val"

JUDGE = "vgg"
"""The backbone of LPIPS that ranks checkpoints: another than teaches by default."""


class TrainingPart(Settings):
    """What a training needs."""

    degradations: DegradationSettings
    model: ModelSettings
    training: TrainingSettings
    seed: int


class RestorationProblem:
    """Restoration for the training loop; checkpoints are ranked by LPIPS (VGG) under the deciding degradation."""

    checkpoint_metric = lpips(JUDGE)

    def __init__(
        self, settings: TrainingPart, faces: Manifest, cases: DegradedCases, initial: TrainedModel | None = None
    ) -> None:
        """Raises FaceReconError if the train or the val split has no face, or the size is no multiple of the scale."""
        self.settings, self.manifest, self.cases, self.initial = settings, faces, cases, initial
        self.training, self.seed = settings.training, settings.seed
        self.checkpoint_key = f"{VAL}/{self.checkpoint_metric.name}/{cases.presets[0]}"
        self.scale = scale_of(settings.model)
        degrade = TrainingDegradations(settings.degradations, faces.size, self.scale)
        self.faces = TrainingFaces(faces, settings.training.augmentation, degrade, settings.seed)
        self.val_faces: EvaluationFaces = evaluation_faces(faces, VAL, settings.training.validation_faces)
        for split, count in (("train", len(self.faces)), (VAL, len(self.val_faces))):
            if not count:
                raise FaceReconError(
                    f"the {split} split has no face ({faces.faces['identity'].nunique()} identities in all): "
                    "give more people, or raise the split's share in data.splits"
                )
        self.judges = Judges(self.checkpoint_metric, None)
        self.adversary: Adversary | None = None

    def dataset(self) -> TrainingFaces:
        return self.faces

    def sources(self) -> Sequence[str]:
        return self.faces.sources

    def collate(self, samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        return collate(samples)

    def objective(self, fabric: Fabric, new: bool) -> RestorationObjective:
        chosen, size = self.settings.model, self.manifest.size
        model = cast(RestorationModel, build_model(chosen.family, chosen.options))
        # the layout that convolutions are fastest in, on CPU and GPU
        model = model.to(memory_format=torch.channels_last)
        if new and self.initial is not None:
            load_initial(model, self.initial, chosen, size // self.scale, self.cases.task)
            model.confidence_scale.fill_(1.0)
            model.confidence_shift.fill_(0.0)
        elif new:
            model.load_pretrained()
        made = RestorationObjective(model, self.training, fabric, size)
        self.adversary = made.adversary
        return made

    def validate(self, module: nn.Module, device: torch.device) -> Row:
        """LPIPS (VGG) and PSNR of each degradation, and how many images the discriminator tells apart.

        Raises:
            DivergedError: what the model gives is not finite.
        """
        module.eval()
        restore = restore_by_model(cast(RestorationModel, module), device)
        metrics = (self.checkpoint_metric, WHOLE_PSNR)
        told: list[float] = []

        def observe(preset: str, method: str, restored: Restored, truth: Truth) -> None:
            if self.adversary is not None and preset == self.cases.presets[0]:
                made, real = restored.images.float() / 127.5 - 1, from_uint8(truth.images)
                told.append(self.adversary.accuracy(made.to(device), real.to(device)))

        plan = {preset: {MODEL: restore} for preset in self.cases.presets}
        scores = measure(VAL, plan, self.val_faces, self.cases, metrics, self.judges, observe=observe)
        module.train()
        row: Row = {}
        for preset in self.cases.presets:
            for metric in metrics:
                key = MetricKey(VAL, metric.name, preset)
                value = scores.mean(key, MODEL)
                if value is None:
                    raise DivergedError(
                        "training: what the model gives on val is no number: lower training.learning_rate"
                    )
                row[str(key)] = value
        if told:
            row[f"{VAL}/discriminator_accuracy"] = sum(told) / len(told)
        return row

    def trained(self, module: nn.Module, step: int) -> TrainedModel:
        family, size = self.settings.model.family, self.manifest.size // self.scale
        weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        # with the defaults of today: others, some day, would build another network for these weights
        options = model_options(family, self.settings.model.options).model_dump(mode="json")
        teachers = tuple(self.training.losses.networks)
        return TrainedModel(family, options, size, step, weights, task=self.cases.task, teachers=teachers)

    def finish(self, best: TrainedModel, device: torch.device) -> TrainedModel:
        return calibrated(best, self.val_faces, self.cases, device)


def problem(
    settings: TrainingPart, faces: Manifest, cases: DegradedCases, initial: TrainedModel | None = None
) -> RestorationProblem:
    """What the training loop trains."""
    return RestorationProblem(settings, faces, cases, initial)
