"""The figures of a model beside its baselines on frozen masks, per level and family, and what the report shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.lighting import LIGHTING, within
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.measuring import (
    HIDDEN,
    Case,
    Filler,
    Judges,
    Measured,
    Trusts,
    as_tensor,
    baseline,
    cases_of,
    measure,
    reconstruct,
)
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, summarise
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.models import ReconstructionModel
from facerecon.models.base import RIGHT
from facerecon.models.trained import TrainedModel

BESIDE = ("telea", "mean_fill")
"""Baselines that stand beside every model."""

METHODS = ("model", *BESIDE)

_PARTS = (slice(36, 48), slice(27, 36), slice(48, 68))
"""Eyes, nose and mouth among the 68 points."""


@dataclass(frozen=True)
class Evaluation:
    """``figures`` is what metrics.json holds; ``samples`` are arrays of the same length for the report's grids."""

    figures: dict[str, Any]
    samples: dict[str, NDArray[Any]]


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
    model, taught, cases = trained.build(), set(taught_by), cases_of(faces, masks, features)
    judges = Judges(settings)
    methods: dict[str, Filler] = {"model": partial(reconstruct, model), **{name: baseline(name) for name in BESIDE}}
    measured, trust = measure(methods, faces, cases, judges)
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


def _rows(cases: list[Case], measured: Measured) -> list[dict[str, Any]]:
    """The table: a row for each case and method. What is only masked has an identity and nothing else."""
    rows = []
    for case in cases:
        ratio = float(case.masks[case.masks.any(axis=(1, 2))].mean(dtype=np.float64))
        about = {"family": case.family, "level": case.level, "hole_ratio": ratio}
        for method in (*METHODS, HIDDEN):
            figures = {metric: summarise(values).as_dict() for metric, values in measured[case.name, method].items()}
            rows.append({"method": method, **about, **figures})
    return rows


def _confidence_figures(cases: list[Case], trust: Trusts) -> dict[str, Any] | None:
    """How far confidence can be trusted in each case; None without that head."""
    if not trust:
        return None
    rows, curves = [], []
    for case in cases:
        found = trust[case.name, "model"]
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


def _brush_psnr(cases: list[Case], measured: Measured, method: str) -> dict[int, list[float]]:
    """Hole PSNR of every face, in their order, by the level of its brush mask."""
    return {
        case.level: measured[case.name, method]["hole_psnr"]
        for case in cases
        if case.family == "brush" and case.level is not None
    }


def _lighting_rows(faces: EvaluationFaces, cases: list[Case], measured: Measured) -> list[dict[str, Any]]:
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


@dataclass(frozen=True)
class _Shown:
    """Faces to show: their ``index`` in the split, the ``level`` of their brush mask and the mask itself, and why."""

    index: list[int]
    level: list[int]
    kind: list[str]
    masks: NDArray[np.uint8]


def _chosen(faces: EvaluationFaces, masks: MaskSet, cases: list[Case], measured: Measured, count: int) -> _Shown:
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
    mask = as_tensor(holes)
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
