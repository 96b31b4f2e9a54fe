"""Training faces cut from their photographs, degraded, with what is known of them, and their batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from facerecon.corruption.training_degradations import Degrader
from facerecon.data.augmentation import augment
from facerecon.data.datasets import Draw, to_tensor
from facerecon.data.geometry import box_of, cut
from facerecon.data.manifest import Manifest
from facerecon.data.photos import NoPhotoError, read_photo
from facerecon.errors import FaceReconError
from facerecon.models.landmarks import POINTS
from facerecon.progress import track
from facerecon.randomness import generator
from facerecon.tasks.landmarks.placement import beside, closest, flipped, place
from facerecon.tasks.landmarks.training_settings import TrainingSettings
from facerecon.tasks.landmarks.truth import Known, Target, target_of


@dataclass(frozen=True)
class Batch:
    """``image`` [N, 3, S, S] in [-1, 1]; ``points`` [N, 68, 3] and ``depth`` [N, 1, S, S] in pixels, the latter known
    where ``inside`` [N, 1, S, S] is 1; ``box`` [N], the square root of the area of the points' box in pixels; ``face``
    [N] is 1 where the crop shows the face, else 0: there nothing but that is known."""

    image: Tensor
    points: Tensor
    depth: Tensor
    inside: Tensor
    box: Tensor
    face: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self._all))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, as DataLoader asks for on a GPU."""
        return Batch(*(tensor.pin_memory() for tensor in self._all))

    @property
    def _all(self) -> tuple[Tensor, ...]:
        return self.image, self.points, self.depth, self.inside, self.box, self.face


Sample = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class TrainingFaces(Dataset[Sample]):
    """Faces of the train split whose points are known, each cut anew, or what is beside it. Indexed by ``Draw``."""

    def __init__(
        self, manifest: Manifest, known: Mapping[str, Known], settings: TrainingSettings, degrade: Degrader, seed: int
    ) -> None:
        rows = manifest.split("train")
        self.rows = rows[rows["face"].isin(list(known))].reset_index(drop=True)
        self.manifest, self.known, self.settings = manifest, known, settings
        self.degrade, self.seed = degrade, seed

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sources(self) -> list[str]:
        """The source of each face."""
        return [str(source) for source in self.rows["source"]]

    def __getitem__(self, draw: Draw) -> Sample:
        row = self.rows.iloc[draw.index]
        face, size = str(row["face"]), self.manifest.size

        def rng(what: str) -> np.random.Generator:
            return generator(self.seed, draw.epoch, face, what)

        image, target, shown = self._cut(row, rng("placement"), rng("beside"))
        settings, mirrored = self.settings.augmentation, bool(rng("flip").random() < self.settings.augmentation.flip)
        points, depth, inside = target.points, target.depth, target.inside
        if mirrored:
            image, depth, inside = image[:, ::-1].copy(), depth[:, ::-1].copy(), inside[:, ::-1].copy()
            points = flipped(points, size)
        unturned = settings.model_copy(update={"flip": 0.0})
        changed, _, _, _ = augment(image, points[:5, :2], points[:, :2], unturned, rng("augmentation"))
        # as a camera would give it: rounded before it is degraded
        degraded = self.degrade(draw.progress, rng("degradation"), np.rint(changed).astype(np.uint8))
        return (
            to_tensor(degraded),
            torch.from_numpy(points),
            torch.from_numpy(depth)[None],
            torch.from_numpy(inside)[None].float(),
            torch.tensor(target.box, dtype=torch.float32),
            torch.tensor(shown, dtype=torch.float32),
        )

    def __getitems__(self, draws: list[Draw]) -> list[Sample]:
        return [self[draw] for draw in draws]

    def _cut(
        self, row: "pd.Series[Any]", rng: np.random.Generator, other: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Target, bool]:
        """A crop, what is known of it, and whether it shows the face."""
        known, size = self.known[row["face"]], self.manifest.size
        try:
            photo = read_photo(self.manifest, row)
        except NoPhotoError as reason:
            raise FaceReconError(
                f"training needs the photographs of its faces, and of {row['uri']} {reason}: put it back, or run the "
                "pipeline again without it"
            ) from reason
        if other.random() < self.settings.without_face:
            where = beside(known.points, photo.shape[:2], other)
            if where is not None:
                nothing = np.zeros((size, size), np.float32)
                return (
                    cut(photo, where, size)[0],
                    Target(np.zeros((POINTS, 3), np.float32), nothing, nothing > 0, float(size), float("nan")),
                    False,
                )
        where = place(known.points, photo.shape[:2], self.settings.placement, rng)
        if where is None:
            # the room in a photograph is the same in every epoch: the closest crop stands for all
            where = closest(known.points, photo.shape[:2])
        crop, _ = cut(photo, where, size)
        return crop, target_of(known, where, size, box_of(known.points)[1]), True


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of samples, the images in the layout that convolutions are fastest in."""
    image, *others = (torch.stack(column) for column in zip(*samples, strict=True))
    return Batch(image.contiguous(memory_format=torch.channels_last), *others)


@dataclass(frozen=True)
class Samples:
    """Training crops as a network sees them: ``images`` uint8 [N, S, S, 3], ``points`` [N, 68, 3], and ``depth`` [N, S,
    S], known where it is ``inside`` bool [N, S, S]."""

    images: NDArray[np.uint8]
    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    inside: NDArray[np.bool_]


def samples(faces: TrainingFaces, count: int) -> Samples:
    """At most ``count`` crops of the training faces in their order, each epoch cut and degraded anew, at full severity;
    those that show no face are left out."""
    every = (faces[Draw(at % len(faces), at // len(faces), 1.0)] for at in track(range(count), "drawing crops"))
    drawn = [sample for sample in every if sample[-1]]
    images = [((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy() for image, *_ in drawn]
    points, depth, inside = (np.stack([each[place].numpy() for each in drawn]) for place in (1, 2, 3))
    return Samples(np.stack(images), points, depth[:, 0], inside[:, 0] > 0)
