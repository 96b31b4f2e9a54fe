"""Measuring whatever fills holes, face by face: every figure is of composites under one way of hiding the faces."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FEATURE_PARTS, PART_GROUPS, draw_feature_mask, draw_part_mask
from facerecon.data.datasets import EvaluationFaces
from facerecon.errors import FaceReconError
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.calibration import Reliability, rank_correlation, reliability
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.models import ReconstructionModel
from facerecon.models.base import RIGHT
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.progress import track

METRICS = ("whole_psnr", "hole_psnr", "ssim", "lpips", "identity")
HIDDEN = "masked_input"
"""What is hidden and not filled, as if it were a method: how much of the identity shows without any."""

BATCH = 16


@torch.inference_mode()
def reconstruct(
    model: ReconstructionModel, images: NDArray[np.uint8], masks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor | None]:
    """Composites uint8 [N, 3, H, W] and confidences float [N, 1, H, W] in [0, 1] for masks [N, H, W] (1 = hole).

    There are no confidences from a model without that head.

    Raises:
        FaceReconError: what the model paints is not finite.
    """
    composites, confidences = [], []
    for start in range(0, len(images), BATCH):
        image, mask = from_uint8(images[start : start + BATCH]), as_tensor(masks[start : start + BATCH])
        output = model(image, mask)
        if not output.reconstruction.isfinite().all():
            raise FaceReconError(
                "the model paints what is no number: train it anew with a lower training.learning_rate"
            )
        composites.append(to_uint8(output.reconstruction))
        if output.confidence_logits is not None:
            confidences.append(output.confidence(mask))
    return torch.cat(composites), torch.cat(confidences) if confidences else None


def as_tensor(masks: NDArray[np.uint8]) -> Tensor:
    """Masks [N, H, W] as float32 [N, 1, H, W]."""
    return torch.from_numpy(masks).float()[:, None]


@dataclass(frozen=True)
class Truth:
    """A batch of true faces uint8 [N, H, W, 3], their five points [N, 5, 2], and what the judges see in them."""

    images: NDArray[np.uint8]
    points: Tensor
    features: list[Tensor]
    people: Tensor

    def take(self, chosen: NDArray[np.bool_]) -> "Truth":
        """The faces that are ``chosen`` [N]."""
        if chosen.all():
            return self
        index = torch.from_numpy(chosen)
        features = [feature[index] for feature in self.features]
        return Truth(self.images[chosen], self.points[index], features, self.people[index])


class Judges:
    """The perceptual and the identity network."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self.lpips = LPIPS(settings.lpips_backbone)
        self.identity: IdentityNetwork = load_identity(settings.identity_network)

    def look(self, images: NDArray[np.uint8], points: Tensor) -> Truth:
        """See true faces uint8 [N, H, W, 3] once, for all that is measured against them."""
        seen = from_uint8(images)
        return Truth(images, points, self.lpips.features(seen), self.identity.embed(seen, points))

    def same_person(self, images: Tensor, truth: Truth) -> Tensor:
        """Cosine [N] of each image's embedding with that of the true face; images uint8 [N, 3, H, W]."""
        return (self.identity.embed(images.float() / 127.5 - 1, truth.points) * truth.people).sum(dim=1)

    def measure(self, images: Tensor, truth: Truth, mask: Tensor) -> dict[str, Tensor]:
        """All METRICS [N] of composites uint8 [N, 3, H, W]; mask [N, 1, H, W], 1 = hole."""
        true_images = channels_first(truth.images)
        return {
            "whole_psnr": whole_psnr(images, true_images),
            "hole_psnr": hole_psnr(images, true_images, mask),
            "ssim": ssim(images, true_images),
            "lpips": self.lpips.distance(self.lpips.features(images.float() / 127.5 - 1), truth.features),
            "identity": self.same_person(images, truth),
        }


@dataclass(frozen=True)
class Case:
    """One way of hiding all faces: ``level`` is None for a part of the face, by its points ("features/...") or as its
    source labels it ("parts/..."); ``masks`` uint8 [N, H, W], 1 = hole.

    The mask of a face that has no such part inside its image is empty: the case leaves that face out.
    """

    family: str
    level: int | None
    masks: NDArray[np.uint8]

    @property
    def name(self) -> str:
        return self.family if self.level is None else f"{self.family}, level {self.level}"


def cases_of(faces: EvaluationFaces, masks: MaskSet, features: bool) -> list[Case]:
    cases = [
        Case(family, level, np.stack([masks.for_face(sha, level, family) for sha in faces.sha256s]))
        for level, family in sorted(masks.masks, key=lambda key: (key[1], key[0]))
    ]
    if features:
        size = faces.images.shape[1]
        for part in FEATURE_PARTS:
            drawn = [_part_mask(part, points.sixty_eight, size) for points in faces.points]
            cases.append(Case(f"features/{part}", None, np.stack(drawn)))
        for group in PART_GROUPS:
            drawn = [_group_mask(group, labels, size) for labels in faces.parts]
            cases.append(Case(f"parts/{group}", None, np.stack(drawn)))
    return [case for case in cases if case.masks.any()]


def _part_mask(part: str, points68: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    try:
        return draw_feature_mask(part, points68, size)
    except ValueError:
        return np.zeros((size, size), np.uint8)


def _group_mask(group: str, labels: NDArray[np.uint8] | None, size: int) -> NDArray[np.uint8]:
    try:
        return np.zeros((size, size), np.uint8) if labels is None else draw_part_mask(group, labels)
    except ValueError:
        return np.zeros((size, size), np.uint8)


Measured = dict[tuple[str, str], dict[str, list[float]]]
"""(a case's name, a method) -> the figures of all its faces by metric."""


@dataclass
class Trust:
    """How far confidence can be trusted in one case, gathered batch by batch."""

    pixels: list[Reliability] = field(default_factory=list)
    ranks: list[float | None] = field(default_factory=list)

    def add(self, confidence: Tensor, composites: Tensor, truth: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
        """``confidence`` [N, 1, H, W] of ``composites`` uint8 [N, 3, H, W] in the holes of ``masks`` [N, H, W]."""
        painted = composites.permute(0, 2, 3, 1).numpy().astype(np.int16)
        errors = np.abs(painted - truth).mean(axis=3)
        for said, error, mask in zip(confidence[:, 0].double().numpy(), errors, masks, strict=True):
            hole = mask == 1
            self.pixels.append(reliability(said[hole], error[hole] <= RIGHT))
            self.ranks.append(rank_correlation(said[hole], error[hole]))


Trusts = dict[tuple[str, str], Trust]
"""By a case's name and a method, as Measured."""

Filler = Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[Tensor, Tensor | None]]
"""Takes images uint8 [N, H, W, 3] and masks [N, H, W] (1 = hole); gives composites uint8 [N, 3, H, W] and confidences
float [N, 1, H, W], if it has any."""


def baseline(name: str) -> Filler:
    """One of BASELINES."""

    def fill(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> tuple[Tensor, Tensor | None]:
        return channels_first(BASELINES[name](images, masks)), None

    return fill


@torch.inference_mode()
def measure(
    methods: Mapping[str, Filler], faces: EvaluationFaces, cases: list[Case], judges: Judges
) -> tuple[Measured, Trusts]:
    """All figures of all methods, and of what is only hidden its identity; the confidences of methods that have any.

    Batch by batch, because the perceptual network's features of all faces at once would not fit into memory.
    """
    measured: Measured = defaultdict(lambda: defaultdict(list))
    trust: Trusts = defaultdict(Trust)
    points = faces.points5()
    for start in track(range(0, len(faces), BATCH), "evaluating"):
        part = slice(start, start + BATCH)
        batch = judges.look(faces.images[part], points[part])
        for case in cases:
            chosen = np.asarray(case.masks[part].any(axis=(1, 2)))
            if not chosen.any():
                continue
            truth, holes = batch.take(chosen), case.masks[part][chosen]
            for method, fill in methods.items():
                filled, confidence = fill(truth.images, holes)
                for metric, values in judges.measure(filled, truth, as_tensor(holes)).items():
                    measured[case.name, method][metric] += values.tolist()
                if confidence is not None:
                    trust[case.name, method].add(confidence, filled, truth.images, holes)
            hidden = channels_first(np.where(holes[..., None] == 1, np.uint8(128), truth.images))
            measured[case.name, HIDDEN]["identity"] += judges.same_person(hidden, truth).tolist()
    return measured, trust
