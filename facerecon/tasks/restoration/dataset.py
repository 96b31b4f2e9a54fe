"""Training faces with a degradation drawn for each, and their batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facerecon.corruption.training_degradations import Degrader
from facerecon.data.augmentation import AugmentationSettings, augment
from facerecon.data.datasets import Draw, to_tensor
from facerecon.data.manifest import Manifest
from facerecon.randomness import generator


@dataclass(frozen=True)
class Batch:
    """``image`` [N, 3, sH, sW] and ``degraded`` [N, 3, H, W] in [-1, 1]; ``points`` [N, 5, 2] in ``image``'s pixels."""

    image: Tensor
    degraded: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in (self.image, self.degraded, self.points)))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, as DataLoader asks for on a GPU."""
        return Batch(*(tensor.pin_memory() for tensor in (self.image, self.degraded, self.points)))


class TrainingFaces(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Faces of the train split, augmented, each degraded as it is drawn. Indexed by ``Draw``."""

    def __init__(self, manifest: Manifest, augmentation: AugmentationSettings, degrade: Degrader, seed: int) -> None:
        rows = manifest.split("train")
        self.augmentation, self.degrade, self.seed = augmentation, degrade, seed
        self.faces, self.store = rows["face"].tolist(), manifest.aligned_faces
        self.sources: list[str] = rows["source"].tolist()

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        face = self.faces[draw.index]
        points5, points68 = self.store.few_points(face)
        rng = generator(self.seed, draw.epoch, face, "augmentation")
        changed, points5, _, _ = augment(self.store.crop(face), points5, points68, self.augmentation, rng)
        # as a camera would give it: rounded before it is degraded
        image = np.rint(changed).astype(np.uint8)
        degraded = self.degrade(draw.progress, generator(self.seed, draw.epoch, face, "degradation"), image)
        return to_tensor(image), to_tensor(degraded), torch.from_numpy(points5)

    def __getitems__(self, draws: list[Draw]) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [self[draw] for draw in draws]


def collate(samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """A batch of samples, in the layout that convolutions are fastest in."""
    image, degraded, points = (torch.stack(column) for column in zip(*samples, strict=True))
    channels_last = {"memory_format": torch.channels_last}
    return Batch(image.contiguous(**channels_last), degraded.contiguous(**channels_last), points)
