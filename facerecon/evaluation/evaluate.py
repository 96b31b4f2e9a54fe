"""Measuring a model beside its baselines on frozen masks: every figure is of composites, per level and family."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.config.evaluation import EvaluationSettings
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FEATURE_PARTS, PART_GROUPS, draw_feature_mask, draw_part_mask
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.lighting import LIGHTING, within
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.calibration import Reliability, rank_correlation, reliability
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, ssim, summarise, to_uint8, whole_psnr
from facerecon.models import ReconstructionModel
from facerecon.models.base import RIGHT
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.progress import track
from facerecon.training.checkpoints import TrainedModel

METRICS = ("whole_psnr", "hole_psnr", "ssim", "lpips", "identity")
METHODS = ("model", "telea", "mean_fill")
BATCH = 16

_PARTS = (slice(36, 48), slice(27, 36), slice(48, 68))
"""Eyes, nose and mouth among the 68 points."""


@dataclass(frozen=True)
class Evaluation:
    """``figures`` is what metrics.json holds; ``samples`` are arrays of the same length for the report's grids."""

    figures: dict[str, Any]
    samples: dict[str, NDArray[Any]]


@torch.inference_mode()
def reconstruct(
    model: ReconstructionModel, images: NDArray[np.uint8], masks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor | None]:
    """Composites uint8 [N, 3, H, W] and confidences float [N, 1, H, W] in [0, 1] for masks [N, H, W] (1 = hole).

    There are no confidences from a model without that head.
    """
    composites, confidences = [], []
    for start in range(0, len(images), BATCH):
        image, mask = from_uint8(images[start : start + BATCH]), _as_tensor(masks[start : start + BATCH])
        output = model(image, mask)
        composites.append(to_uint8(output.reconstruction))
        if output.confidence_logits is not None:
            confidences.append(output.confidence(mask))
    return torch.cat(composites), torch.cat(confidences) if confidences else None


def _as_tensor(masks: NDArray[np.uint8]) -> Tensor:
    """Masks [N, H, W] as float32 [N, 1, H, W]."""
    return torch.from_numpy(masks).float()[:, None]


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
        true_images = channels_first(truth.images)
        return {
            "whole_psnr": whole_psnr(images, true_images),
            "hole_psnr": hole_psnr(images, true_images, mask),
            "ssim": ssim(images, true_images),
            "lpips": self.lpips.distance(self.lpips.features(images.float() / 127.5 - 1), truth.features),
            "identity": self.same_person(images, truth),
        }


@dataclass(frozen=True)
class _Case:
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
        for group in PART_GROUPS:
            drawn = [_group_mask(group, labels, size) for labels in faces.parts]
            cases.append(_Case(f"parts/{group}", None, np.stack(drawn)))
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
    judges = _Judges(settings)
    measured, trust = _measure(model, faces, cases, judges)
    samples = _samples(model, faces, _chosen(faces, masks, cases, measured, settings.samples))
    lpips, identity = f"lpips_{settings.lpips_backbone}", settings.identity_network
    figures = {
        "split": {"name": "test", "faces": len(faces), "identities": int(faces.rows["identity"].nunique())},
        "judges": {
            "lpips": {"network": lpips, "in_loss": lpips in taught},
            "identity": {
                "network": identity,
                "in_loss": identity in taught,
                "same_person": judges.identity.same_person,
            },
        },
        "model": {
            "family": trained.family,
            "size": trained.size,
            "step": trained.step,
            "weights": trained.digest,
            "attention": list(model.attention(*_blank(trained.size))),
        },
        "data": manifest.digest,
        "masks": masks.digest,
        "table": _rows(cases, measured),
        "lighting": _lighting_rows(faces, cases, measured),
        "confidence": _confidence_figures(cases, trust),
    }
    return Evaluation(figures, samples)


def _blank(size: int) -> tuple[Tensor, Tensor]:
    """An image and a mask of ``size`` pixels, to ask a model what it gives."""
    return torch.zeros(1, 3, size, size), torch.ones(1, 1, size, size)


_Measured = dict[tuple[str, str], dict[str, list[float]]]
"""(a case's name, a method) -> the figures of all its faces by metric."""


@dataclass
class _Trust:
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


def _measure(
    model: ReconstructionModel, faces: EvaluationFaces, cases: list[_Case], judges: _Judges
) -> tuple[_Measured, dict[str, _Trust]]:
    """All figures, and the confidence's by case (none without that head).

    Batch by batch, because the perceptual network's features of all faces at once would not fit into memory.
    """
    measured: _Measured = defaultdict(lambda: defaultdict(list))
    trust: dict[str, _Trust] = defaultdict(_Trust)
    points = faces.points5()
    for start in track(range(0, len(faces), BATCH), "evaluating"):
        part = slice(start, start + BATCH)
        batch = judges.look(faces.images[part], points[part])
        for case in cases:
            chosen = np.asarray(case.masks[part].any(axis=(1, 2)))
            if not chosen.any():
                continue
            truth, holes = batch.take(chosen), case.masks[part][chosen]
            for method in METHODS:
                filled, confidence = _fill(method, model, truth.images, holes)
                for metric, values in judges.measure(filled, truth, _as_tensor(holes)).items():
                    measured[case.name, method][metric] += values.tolist()
                if confidence is not None:
                    trust[case.name].add(confidence, filled, truth.images, holes)
            hidden = channels_first(np.where(holes[..., None] == 1, np.uint8(128), truth.images))
            measured[case.name, "masked_input"]["identity"] += judges.same_person(hidden, truth).tolist()
    return measured, trust


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


def _confidence_figures(cases: list[_Case], trust: dict[str, _Trust]) -> dict[str, Any] | None:
    """How far confidence can be trusted in each case; None without that head."""
    if not trust:
        return None
    rows, curves = [], []
    for case in cases:
        found = trust[case.name]
        pixels = sum(found.pixels[1:], found.pixels[0])
        ranks = [rank for rank in found.ranks if rank is not None]
        about = {"family": case.family, "level": case.level}
        rows.append(
            {
                **about,
                "pixels": pixels.count,
                "faces": len(found.pixels),
                "brier": pixels.brier,
                "brier_constant": pixels.brier_constant,
                "rank_correlation": sum(ranks) / len(ranks) if ranks else None,
                "calibration_error": pixels.calibration_error,
                "mean_confidence": pixels.mean_confidence,
                "share_right": pixels.share_right,
            }
        )
        curves.append({**about, "bins": pixels.bins()})
    return {"threshold": RIGHT, "rows": rows, "reliability": curves}


def _brush_psnr(cases: list[_Case], measured: _Measured, method: str) -> dict[int, list[float]]:
    """Hole PSNR of every face, in their order, by the level of its brush mask."""
    return {
        case.level: measured[case.name, method]["hole_psnr"]
        for case in cases
        if case.family == "brush" and case.level is not None
    }


def _lighting_rows(faces: EvaluationFaces, cases: list[_Case], measured: _Measured) -> list[dict[str, Any]]:
    """Hole PSNR under brush masks of the model and of Telea, by how bright the faces are."""
    luma = np.array([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() for image in faces.images])
    rows = []
    for condition, low, high in LIGHTING:
        chosen = np.flatnonzero(within(luma, low, high))
        for method in ("model", "telea") if len(chosen) else ():
            for level, psnr in _brush_psnr(cases, measured, method).items():
                about = {"condition": condition, "low": low, "high": high, "level": level, "method": method}
                summary = summarise(psnr[index] for index in chosen).as_dict()
                rows.append({**about, "faces": len(chosen), "hole_psnr": summary})
    return rows


def _fill(
    method: str, model: ReconstructionModel, images: NDArray[np.uint8], masks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor | None]:
    """Composites uint8 [N, 3, H, W] of images [N, H, W, 3] under masks [N, H, W] (1 = hole), and confidences if any."""
    if method == "model":
        return reconstruct(model, images, masks)
    return channels_first(BASELINES[method](images, masks)), None


@dataclass(frozen=True)
class _Shown:
    """Faces to show: their ``index`` in the split, the ``level`` of their brush mask and the mask itself, and why."""

    index: list[int]
    level: list[int]
    kind: list[str]
    masks: NDArray[np.uint8]


def _chosen(faces: EvaluationFaces, masks: MaskSet, cases: list[_Case], measured: _Measured, count: int) -> _Shown:
    """The first faces by hash under brush masks of every level in turn, which nobody picked, and then the worst.

    The worst, half as many, are the faces of the lowest hole PSNR under any brush mask, each under its own worst.
    """
    levels = sorted(level for level, family in masks.masks if family == "brush")
    typical = list(range(min(count, len(faces))))
    shown = [(index, levels[index % len(levels)], "typical") for index in typical]
    psnr = _brush_psnr(cases, measured, "model").items()
    lowest = sorted((*min((values[index], level) for level, values in psnr), index) for index in range(len(faces)))
    shown += [(index, level, "worst") for _, level, index in lowest[: max(1, count // 2)]]
    index, level, kind = (list(column) for column in zip(*shown, strict=True))
    holes = np.stack([masks.for_face(faces.sha256s[i], k, "brush") for i, k in zip(index, level, strict=True)])
    return _Shown(index, level, kind, holes)


def _samples(model: ReconstructionModel, faces: EvaluationFaces, shown: _Shown) -> dict[str, NDArray[Any]]:
    """What the report shows of each face: arrays of the same length."""
    images, holes = faces.images[shown.index], shown.masks
    mask = _as_tensor(holes)
    composites, confidence = reconstruct(model, images, holes)
    reconstructed = composites.permute(0, 2, 3, 1).numpy()
    sure = torch.ones_like(mask) if confidence is None else confidence
    maps = [_bytes(values) for values in model.attention(from_uint8(images), mask).values()]
    return {
        "level": np.array(shown.level),
        "kind": np.array(shown.kind),
        "original": images,
        "mask": holes,
        "reconstructed": reconstructed,
        "telea": BASELINES["telea"](images, holes),
        "error": np.abs(reconstructed.astype(np.int16) - images).mean(axis=3).round().astype(np.uint8),
        "confidence": _bytes(sure),
        "attention": np.stack(maps, axis=1) if maps else np.empty((len(images), 0, *images.shape[1:3]), np.uint8),
        "boxes": np.stack([_boxes(faces.points[index].sixty_eight, images.shape[1]) for index in shown.index]),
        "hole_psnr": hole_psnr(composites, channels_first(images), mask).float().numpy(),
    }


def _bytes(shares: Tensor) -> NDArray[np.uint8]:
    """Values [N, 1, H, W] in [0, 1] as uint8 [N, H, W]."""
    return (shares[:, 0].numpy() * 255).round().astype(np.uint8)


def _boxes(points68: NDArray[np.float32], size: int) -> NDArray[np.int16]:
    """Eyes, nose and mouth as x0, y0, x1, y1 [3, 4] in pixels (x1, y1 exclusive), with a margin, inside the crop.

    The margin is a fifth of the distance between the eyes. A part outside the crop has an empty box.
    """
    eyes = points68[36:42].mean(axis=0), points68[42:48].mean(axis=0)
    margin = 0.2 * float(np.hypot(*(eyes[1] - eyes[0])))
    parts = [points68[part] for part in _PARTS]
    boxes = [(*np.floor(part.min(axis=0) - margin), *np.ceil(part.max(axis=0) + margin)) for part in parts]
    return np.clip(boxes, 0, size).astype(np.int16)
