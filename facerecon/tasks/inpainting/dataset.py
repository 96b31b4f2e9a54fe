"""Training faces with masks drawn for them, degraded first if wanted, and their batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from facerecon.corruption.training_degradations import Degrader
from facerecon.data.augmentation import AugmentationSettings, augment
from facerecon.data.datasets import Draw, to_tensor
from facerecon.data.manifest import Manifest
from facerecon.data.store import FaceStore
from facerecon.randomness import generator


@dataclass(frozen=True)
class Batch:
    """``image`` [N, 3, H, W] in [-1, 1], ``mask`` [N, 1, H, W] (1 = hole), ``points`` [N, 5, 2] in pixels."""

    image: Tensor
    mask: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in (self.image, self.mask, self.points)))

    def halved(self) -> "Batch":
        """The batch at half its size: a pixel is hole if any of its four was, so nothing hidden shows in known ones."""
        return Batch(F.avg_pool2d(self.image, 2), F.max_pool2d(self.mask, 2), self.points / 2)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, as DataLoader asks for on a GPU."""
        return Batch(*(tensor.pin_memory() for tensor in (self.image, self.mask, self.points)))


MaskDrawer = Callable[[float, np.random.Generator, NDArray[np.float32], NDArray[np.uint8] | None], NDArray[np.uint8]]
"""(progress of the run, generator, 68 points [68, 2], labels of parts [H, W] or None) -> mask [H, W], 1 = hole."""


class TrainingFaces(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Faces of the train split, augmented, each with a mask drawn for it. Indexed by ``Draw``.

    ``degrade`` gives the face that is to be hidden in part and put back: the same degraded image is input and target.
    """

    def __init__(
        self,
        manifest: Manifest,
        augmentation: AugmentationSettings,
        draw_mask: MaskDrawer,
        seed: int,
        degrade: Degrader | None = None,
    ) -> None:
        rows = manifest.split("train")
        self.augmentation, self.draw_mask, self.seed, self.degrade = augmentation, draw_mask, seed, degrade
        self.faces, self.store = rows["face"].tolist(), manifest.aligned_faces
        self.sources: list[str] = rows["source"].tolist()
        # frames of one track are seen under one mask: it would tell the network nothing new to hide them differently
        self.mask_keys = np.where(rows["track"] != "", rows["track"], rows["face"]).tolist()

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        face = self.faces[draw.index]
        points5, points68 = self.store.few_points(face)
        rng = generator(self.seed, draw.epoch, face, "augmentation")
        crop, parts = self.store.crop(face), self.store.parts(face)
        image, points5, points68, parts = augment(crop, points5, points68, self.augmentation, rng, parts)
        if self.degrade is not None:
            # as a camera would give it: rounded before it is degraded
            whole = np.rint(image).astype(np.uint8)
            degraded = self.degrade(draw.progress, generator(self.seed, draw.epoch, face, "degradation"), whole)
            image = degraded.astype(np.float32)
        mask_rng = generator(self.seed, draw.epoch, self.mask_keys[draw.index], "mask")
        mask = self.draw_mask(draw.progress, mask_rng, points68, parts)
        return to_tensor(image), torch.from_numpy(mask[None].astype(np.float32)), torch.from_numpy(points5)

    def unchanged(self, most: int, batch_size: int = 64) -> Iterator[Tensor]:
        """As ``unchanged_faces``, of these faces."""
        return unchanged_faces(self.faces, self.store, most, batch_size)

    def __getitems__(self, draws: list[Draw]) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [self[draw] for draw in draws]


def unchanged_faces(names: Sequence[str], store: FaceStore, most: int, batch_size: int = 64) -> Iterator[Tensor]:
    """At most ``most`` faces, evenly from all, as they are: batches [N, 3, H, W] in [-1, 1]."""
    chosen = names[:: -(-len(names) // most)]
    for start in range(0, len(chosen), batch_size):
        yield torch.stack([to_tensor(store.crop(face)) for face in chosen[start : start + batch_size]])


def collate(samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """Stack samples to a batch."""
    images, masks, points = zip(*samples, strict=True)
    return Batch(torch.stack(images), torch.stack(masks), torch.stack(points))
