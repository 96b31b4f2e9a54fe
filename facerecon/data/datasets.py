"""Aligned faces as tensors: with augmentation and drawn masks for training, as they are for evaluation.

Every random choice is a function of (seed, epoch, face), so neither the number of loader workers nor where a run was
resumed changes what the network sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from facerecon.data.augmentation import AugmentationSettings, augment
from facerecon.data.manifest import Manifest
from facerecon.data.store import FacePoints
from facerecon.randomness import generator, unit_interval


@dataclass(frozen=True)
class Draw:
    """One training sample to make: row ``index`` in ``epoch``, at ``progress`` in [0, 1] of the run."""

    index: int
    epoch: int
    progress: float


@dataclass(frozen=True)
class Batch:
    """``image`` [N, 3, H, W] in [-1, 1], ``mask`` [N, 1, H, W] (1 = hole), ``points`` [N, 5, 2] in pixels."""

    image: Tensor
    mask: Tensor
    points: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in (self.image, self.mask, self.points)))

    def halved(self) -> "Batch":
        """The batch at half its size: a pixel is hole if any of its four was, so nothing hidden shows in known ones."""
        return Batch(F.avg_pool2d(self.image, 2), F.max_pool2d(self.mask, 2), self.points / 2)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, as DataLoader asks for on a GPU."""
        return Batch(*(tensor.pin_memory() for tensor in (self.image, self.mask, self.points)))


def to_tensor(image: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    """[H, W, 3] with values 0..255 as float32 [3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)) / 127.5 - 1


MaskDrawer = Callable[[float, np.random.Generator, NDArray[np.float32], NDArray[np.uint8] | None], NDArray[np.uint8]]
"""(progress of the run, generator, 68 points [68, 2], labels of parts [H, W] or None) -> mask [H, W], 1 = hole."""


class TrainingFaces(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Faces of the train split, augmented, each with a mask drawn for it. Indexed by ``Draw``."""

    def __init__(self, manifest: Manifest, augmentation: AugmentationSettings, draw_mask: MaskDrawer, seed: int):
        rows = manifest.split("train")
        self.augmentation, self.draw_mask, self.seed = augmentation, draw_mask, seed
        self.faces, self.store = rows["face"].tolist(), manifest.aligned_faces
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
        mask_rng = generator(self.seed, draw.epoch, self.mask_keys[draw.index], "mask")
        mask = self.draw_mask(draw.progress, mask_rng, points68, parts)
        return to_tensor(image), torch.from_numpy(mask[None].astype(np.float32)), torch.from_numpy(points5)

    def unchanged(self, most: int, batch_size: int = 64) -> Iterator[Tensor]:
        """At most ``most`` faces, evenly from all, as they are: batches [N, 3, H, W] in [-1, 1]."""
        chosen = self.faces[:: -(-len(self.faces) // most)]
        for start in range(0, len(chosen), batch_size):
            yield torch.stack([to_tensor(self.store.crop(face)) for face in chosen[start : start + batch_size]])

    def __getitems__(self, draws: list[Draw]) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [self[draw] for draw in draws]


def collate(samples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """Stack samples to a batch."""
    images, masks, points = zip(*samples, strict=True)
    return Batch(torch.stack(images), torch.stack(masks), torch.stack(points))


class StepSampler(Sampler[list[Draw]]):
    """Batches from step ``start`` to the run's end: each epoch a permutation by (seed, epoch), without a seam.

    A batch may span two epochs, so every batch has ``batch_size`` faces however few there are. ``share`` is (rank,
    processes): of each batch a process gets its own faces, all together those that one alone would get.
    """

    def __init__(
        self, faces: int, batch_size: int, batches: int, seed: int, start: int = 0, share: tuple[int, int] = (0, 1)
    ) -> None:
        self.faces, self.batch_size, self.batches, self.seed, self.start = faces, batch_size, batches, seed, start
        self.rank, self.processes = share

    def __len__(self) -> int:
        return self.batches - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for batch in range(self.start, self.batches):
            draws = []
            for position in range(batch * self.batch_size, (batch + 1) * self.batch_size):
                if position // self.faces != epoch:
                    epoch = position // self.faces
                    order = generator(self.seed, epoch, "order").permutation(self.faces)
                draws.append(Draw(int(order[position % self.faces]), epoch, batch / self.batches))
            yield draws[self.rank :: self.processes]


@dataclass(frozen=True)
class EvaluationFaces:
    """Faces held in memory for evaluation: ``images`` uint8 [N, H, W, 3], ``points`` and manifest ``rows``.

    ``parts`` are the labels uint8 [H, W] of a face's parts, None where its source has none.
    """

    rows: pd.DataFrame
    images: NDArray[np.uint8]
    points: list[FacePoints]
    parts: list[NDArray[np.uint8] | None]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sha256s(self) -> list[str]:
        """What evaluation masks are chosen by."""
        return self.rows["sha256"].tolist()

    def points5(self) -> Tensor:
        """Five points of each face [N, 5, 2] in crop pixels."""
        five = [points.five for points in self.points]
        return torch.from_numpy(np.array(five, dtype=np.float32).reshape(-1, 5, 2))


def evaluation_faces(manifest: Manifest, split: str, most: int) -> EvaluationFaces:
    """At most ``most`` faces of a split, chosen by hash of their content, so that growth changes few of them."""
    rows = manifest.split(split)
    chosen = sorted(rows.index, key=lambda i: unit_interval("evaluate", str(rows.at[i, "face"])))[:most]
    rows = rows.loc[sorted(chosen)].reset_index(drop=True)
    faces, store = rows["face"].tolist(), manifest.aligned_faces
    points, parts = [store.points(face) for face in faces], [store.parts(face) for face in faces]
    return EvaluationFaces(rows, store.crops(faces, manifest.size), points, parts)
