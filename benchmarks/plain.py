"""The plain recipe, as a careful tutorial would give it: the baseline of the project's own training.

A U-Net without gates, images decoded and masks drawn item by item, fp32, NCHW, Adam at 1e-3 with a cosine schedule, the
best checkpoint by validation. Augmentation, masks and losses are the project's.
"""

import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.inpainting import InpaintingRun
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.augmentation import augment
from facerecon.data.datasets import evaluation_faces, to_tensor
from facerecon.data.manifest import Manifest
from facerecon.errors import DivergedError
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.dataset import collate
from facerecon.tasks.inpainting.evaluator import mask_cases
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.tasks.inpainting.training import validate

LEARNING_RATE = 1e-3

CPU = torch.device("cpu")


class DecodedFaces(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The train split as PNG files in ``folder``, decoded item by item."""

    def __init__(self, manifest: Manifest, folder: Path, settings: InpaintingRun) -> None:
        self.settings, self.draw_mask = settings, TrainingMasks(settings.masks, manifest.size)
        self.rng, self.progress = np.random.default_rng(settings.seed), 0.0
        store = manifest.aligned_faces
        faces = manifest.split("train")["face"].tolist()
        self.points = [store.few_points(face) for face in faces]
        self.files = [folder / f"{face}.png" for face in faces]
        folder.mkdir(parents=True, exist_ok=True)
        for face, file in zip(faces, self.files, strict=True):
            if not file.is_file():
                cv2.imwrite(str(file), store.crop(face)[..., ::-1])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        stored = np.asarray(cv2.imread(str(self.files[index])))
        image = np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)
        five, many = self.points[index]
        augmented, five, many, _ = augment(image, five, many, self.settings.training.augmentation, self.rng)
        mask = self.draw_mask(self.progress, self.rng, many)
        return to_tensor(augmented), torch.from_numpy(mask[None].astype(np.float32)), torch.from_numpy(five)


def train_plainly(
    manifest: Manifest,
    masks: MaskSet,
    settings: InpaintingRun,
    folder: Path,
    steps: int,
    device: torch.device = CPU,
) -> tuple[TrainedModel, float]:
    """The best model of ``steps`` steps, and images a second without validation.

    Raises:
        DivergedError: the loss is no longer finite.
    """
    torch.manual_seed(settings.seed)
    training = settings.training
    faces = DecodedFaces(manifest, folder, settings)
    loader = DataLoader(faces, training.batch_size, shuffle=True, drop_last=True, collate_fn=collate)
    val_faces = evaluation_faces(manifest, "val", training.validation_faces)
    val_cases = mask_cases(val_faces, masks, "brush")
    model = build_model(settings.model.family, settings.model.options).to(device)
    criterion = ReconstructionLoss(training.losses).to(device)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)

    def trained(step: int) -> TrainedModel:
        weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        options = settings.model.options.model_dump(mode="json")
        return TrainedModel(settings.model.family, options, manifest.size, step, weights)

    best, lowest, seconds, step = trained(0), math.inf, 0.0, 0
    while step < steps:
        since = time.perf_counter()
        for read in loader:
            batch = read.to(device)
            optimizer.zero_grad()
            loss = criterion(model(batch.image, batch.mask), batch, step).total
            if not torch.isfinite(loss):
                raise DivergedError(f"plain: the loss is no longer finite at step {step + 1}")
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            faces.progress = min(1.0, step / steps)
            if step % training.validate_every == 0 or step == steps:
                seconds += time.perf_counter() - since
                error = validate(model, val_faces, val_cases, device)["val/hole_l1/brush"]
                if error < lowest:
                    best, lowest = trained(step), error
                since = time.perf_counter()
            if step == steps:
                break
        else:
            seconds += time.perf_counter() - since
    return best, steps * training.batch_size / seconds
