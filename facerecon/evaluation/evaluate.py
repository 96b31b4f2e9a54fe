"""Measuring a model beside its baselines on frozen masks: every figure is of composites, per level and family."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.config.evaluation import EvaluationSettings
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FEATURE_PARTS, draw_feature_mask
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.metrics import hole_psnr, ssim, summarise, to_uint8, whole_psnr
from facerecon.models import ReconstructionModel
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.progress import track
from facerecon.training.checkpoints import TrainedModel

METRICS = ("whole_psnr", "hole_psnr", "ssim", "lpips", "identity")
METHODS = ("model", "telea", "mean_fill")
BATCH = 16


@dataclass(frozen=True)
class Evaluation:
    """``figures`` is what metrics.json holds; ``samples`` are arrays of the same length for the report's grids."""

    figures: dict[str, Any]
    samples: dict[str, NDArray[Any]]


def from_uint8(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W, 3] as float32 [N, 3, H, W] in [-1, 1]."""
    return _channels_first(images).float() / 127.5 - 1


def _channels_first(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W, 3] as a tensor uint8 [N, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@torch.inference_mode()
def reconstruct(
    model: ReconstructionModel, images: NDArray[np.uint8], masks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor]:
    """Composites uint8 [N, 3, H, W] and confidences float [N, 1, H, W] in [0, 1] for masks [N, H, W] (1 = hole)."""
    composites, confidences = [], []
    for start in range(0, len(images), BATCH):
        image = from_uint8(images[start : start + BATCH])
        mask = torch.from_numpy(masks[start : start + BATCH]).float()[:, None]
        output = model(image, mask)
        composites.append(to_uint8(output.reconstruction))
        confidences.append(output.confidence(mask))
    return torch.cat(composites), torch.cat(confidences)


@dataclass(frozen=True)
class _Truth:
    """A batch of true faces uint8 [N, H, W, 3], their five points [N, 5, 2], and what the judges see in them."""

    images: NDArray[np.uint8]
    points: Tensor
    features: list[Tensor]
    people: Tensor

    def take(self, chosen: NDArray[np.bool_]) -> "_Truth":
        """The faces that are ``chosen`` [N]."""
        if chosen.all():
            return self
        index = torch.from_numpy(chosen)
        features = [feature[index] for feature in self.features]
        return _Truth(self.images[chosen], self.points[index], features, self.people[index])


class _Judges:
    """The perceptual and the identity network."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self.lpips = LPIPS(settings.lpips_backbone)
        self.identity: IdentityNetwork = load_identity(settings.identity_network)

    def look(self, images: NDArray[np.uint8], points: Tensor) -> _Truth:
        """See true faces uint8 [N, H, W, 3] once, for all that is measured against them."""
        seen = from_uint8(images)
        return _Truth(images, points, self.lpips.features(seen), self.identity.embed(seen, points))

    def same_person(self, images: Tensor, truth: _Truth) -> Tensor:
        """Cosine [N] of each image's embedding with that of the true face; images uint8 [N, 3, H, W]."""
        return (self.identity.embed(images.float() / 127.5 - 1, truth.points) * truth.people).sum(dim=1)

    def measure(self, images: Tensor, truth: _Truth, mask: Tensor) -> dict[str, Tensor]:
        """All METRICS [N] of composites uint8 [N, 3, H, W]; mask [N, 1, H, W], 1 = hole."""
        true_images = _channels_first(truth.images)
        return {
            "whole_psnr": whole_psnr(images, true_images),
            "hole_psnr": hole_psnr(images, true_images, mask),
            "ssim": ssim(images, true_images),
            "lpips": self.lpips.distance(self.lpips.features(images.float() / 127.5 - 1), truth.features),
            "identity": self.same_person(images, truth),
        }


@dataclass(frozen=True)
class _Case:
    """One way of hiding all faces: ``level`` is None for a part of the face; ``masks`` uint8 [N, H, W], 1 = hole.

    The mask of a face that has no such part inside its image is empty: the case leaves that face out.
    """

    family: str
    level: int | None
    masks: NDArray[np.uint8]

    @property
    def name(self) -> str:
        return self.family if self.level is None else f"{self.family}, level {self.level}"


def _cases(faces: EvaluationFaces, masks: MaskSet, features: bool) -> list[_Case]:
    cases = [
        _Case(family, level, np.stack([masks.for_face(sha, level, family) for sha in faces.sha256s]))
        for level, family in sorted(masks.masks, key=lambda key: (key[1], key[0]))
    ]
    if features:
        size = faces.images.shape[1]
        for part in FEATURE_PARTS:
            drawn = [_part_mask(part, points.sixty_eight, size) for points in faces.points]
            cases.append(_Case(f"features/{part}", None, np.stack(drawn)))
    return [case for case in cases if case.masks.any()]


def _part_mask(part: str, points68: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    try:
        return draw_feature_mask(part, points68, size)
    except ValueError:
        return np.zeros((size, size), np.uint8)


@torch.inference_mode()
def evaluate(
    trained: TrainedModel,
    manifest: Manifest,
    masks: MaskSet,
    settings: EvaluationSettings,
    features: bool,
    taught_by: Iterable[str],
) -> Evaluation:
    """Figures on the test split of the model, Telea and mean fill, and sample images.

    ``features`` adds the parts of the face; ``taught_by`` names the networks in the training loss, so that a figure
    from one of them says so.

    Raises:
        FaceReconError: the test split has no face.
    """
    faces = evaluation_faces(manifest, "test", settings.max_faces)
    if not len(faces):
        raise FaceReconError("the test split has no face: give more people, or raise data.splits.test")
    model, taught, cases = trained.build(), set(taught_by), _cases(faces, masks, features)
    rows = _rows(cases, _measure(model, faces, cases, _Judges(settings)))
    lpips, identity = f"lpips_{settings.lpips_backbone}", settings.identity_network
    figures = {
        "split": {"name": "test", "faces": len(faces), "identities": int(faces.rows["identity"].nunique())},
        "judges": {
            "lpips": {"network": lpips, "in_loss": lpips in taught},
            "identity": {"network": identity, "in_loss": identity in taught},
        },
        "model": {"family": trained.family, "size": trained.size, "step": trained.step, "weights": trained.digest},
        "data": manifest.digest,
        "masks": masks.digest,
        "table": rows,
    }
    return Evaluation(figures, _samples(model, faces, masks, settings.samples))


_Measured = dict[tuple[str, str], dict[str, list[float]]]
"""(a case's name, a method) -> the figures of all its faces by metric."""


def _measure(model: ReconstructionModel, faces: EvaluationFaces, cases: list[_Case], judges: _Judges) -> _Measured:
    """Batch by batch, because the perceptual network's features of all faces at once would not fit into memory."""
    measured: _Measured = defaultdict(lambda: defaultdict(list))
    points = faces.points5()
    for start in track(range(0, len(faces), BATCH), "evaluating"):
        part = slice(start, start + BATCH)
        batch = judges.look(faces.images[part], points[part])
        for case in cases:
            chosen = np.asarray(case.masks[part].any(axis=(1, 2)))
            if not chosen.any():
                continue
            truth, holes = batch.take(chosen), case.masks[part][chosen]
            mask = torch.from_numpy(holes).float()[:, None]
            for method in METHODS:
                figures = judges.measure(_fill(method, model, truth.images, holes), truth, mask)
                for metric, values in figures.items():
                    measured[case.name, method][metric] += values.tolist()
            hidden = _channels_first(np.where(holes[..., None] == 1, np.uint8(128), truth.images))
            measured[case.name, "masked_input"]["identity"] += judges.same_person(hidden, truth).tolist()
    return measured


def _rows(cases: list[_Case], measured: _Measured) -> list[dict[str, Any]]:
    """The table: a row for each case and method. What is only masked has an identity and nothing else."""
    rows = []
    for case in cases:
        ratio = float(case.masks[case.masks.any(axis=(1, 2))].mean(dtype=np.float64))
        about = {"family": case.family, "level": case.level, "hole_ratio": ratio}
        for method in (*METHODS, "masked_input"):
            figures = {metric: summarise(values).as_dict() for metric, values in measured[case.name, method].items()}
            rows.append({"method": method, **about, **figures})
    return rows


def _fill(method: str, model: ReconstructionModel, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Tensor:
    """Composites uint8 [N, 3, H, W] of images [N, H, W, 3] under masks [N, H, W] (1 = hole)."""
    if method == "model":
        return reconstruct(model, images, masks)[0]
    return _channels_first(BASELINES[method](images, masks))


def _samples(model: ReconstructionModel, faces: EvaluationFaces, masks: MaskSet, count: int) -> dict[str, NDArray[Any]]:
    """The first faces by hash under brush masks of every level in turn: nobody picked them."""
    levels = sorted(level for level, family in masks.masks if family == "brush")
    chosen = range(min(count, len(faces)))
    shown = [levels[index % len(levels)] for index in chosen]
    images = faces.images[: len(chosen)]
    holes = np.stack([masks.for_face(faces.sha256s[i], shown[i], "brush") for i in chosen])
    composites, confidence = reconstruct(model, images, holes)
    reconstructed = composites.permute(0, 2, 3, 1).numpy()
    return {
        "level": np.array(shown),
        "original": images,
        "mask": holes,
        "reconstructed": reconstructed,
        "telea": BASELINES["telea"](images, holes),
        "error": np.abs(reconstructed.astype(np.int16) - images).mean(axis=3).round().astype(np.uint8),
        "confidence": (confidence[:, 0].numpy() * 255).round().astype(np.uint8),
    }


def gate_scores(trained: TrainedModel, manifest: Manifest, masks: MaskSet, most: int) -> dict[str, NDArray[np.float64]]:
    """Hole PSNR of each gate face under its brush mask of each level: arrays [N] by ``level_<k>``.

    Raises:
        FaceReconError: the gate split has no face.
    """
    faces = evaluation_faces(manifest, "gate", most)
    if not len(faces):
        raise FaceReconError("the gate split has no face: give more people, or raise data.splits.gate")
    model, truth = trained.build(), _channels_first(faces.images)
    scores = {}
    for case in _cases(faces, masks, features=False):
        if case.family == "brush":
            mask = torch.from_numpy(case.masks).float()[:, None]
            psnr = hole_psnr(reconstruct(model, faces.images, case.masks)[0], truth, mask)
            scores[f"level_{case.level}"] = psnr.double().numpy()
    return scores
