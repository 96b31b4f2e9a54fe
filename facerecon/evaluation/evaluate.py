"""Measuring a model beside its baselines on frozen masks: every figure is of composites, per level and family."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.config import EvaluationSettings
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
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


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


class _Judges:
    """The perceptual and the identity network, with the true faces seen by them once."""

    def __init__(self, faces: EvaluationFaces, settings: EvaluationSettings) -> None:
        self.faces = faces
        self.lpips = LPIPS(settings.lpips_backbone)
        self.identity: IdentityNetwork = load_identity(settings.identity_network)
        self.points = faces.points5()
        truth = from_uint8(faces.images)
        self.truth = to_uint8(truth)
        self.features = [self.lpips.features(batch) for batch in truth.split(BATCH)]
        self.people = self._embed(truth)

    def _embed(self, images: Tensor) -> Tensor:
        return torch.cat(
            [self.identity.embed(i, p) for i, p in zip(images.split(BATCH), self.points.split(BATCH), strict=True)]
        )

    def identities(self, images: Tensor) -> Tensor:
        """Cosine [N] of each image's embedding with that of the true face; images uint8 [N, 3, H, W]."""
        return (self._embed(images.float() / 127.5 - 1) * self.people).sum(dim=1)

    def measure(self, images: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """All METRICS [N] of composites uint8 [N, 3, H, W]; mask [N, 1, H, W], 1 = hole."""
        shown = (images.float() / 127.5 - 1).split(BATCH)
        distances = [self.lpips.distance(self.lpips.features(s), w) for s, w in zip(shown, self.features, strict=True)]
        return {
            "whole_psnr": whole_psnr(images, self.truth),
            "hole_psnr": hole_psnr(images, self.truth, mask),
            "ssim": ssim(images, self.truth),
            "lpips": torch.cat(distances),
            "identity": self.identities(images),
        }


@dataclass(frozen=True)
class _Case:
    """One way of hiding all faces: ``level`` is None for a part of the face; ``masks`` uint8 [N, H, W], 1 = hole."""

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
            drawn = [draw_feature_mask(part, points.sixty_eight, size) for points in faces.points]
            cases.append(_Case(f"features/{part}", None, np.stack(drawn)))
    return cases


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
    model, judges, taught = trained.build(), _Judges(faces, settings), set(taught_by)
    rows: list[dict[str, Any]] = []
    for case in track(_cases(faces, masks, features), "evaluating"):
        mask = torch.from_numpy(case.masks).float()[:, None]
        ratio = float(case.masks.mean(dtype=np.float64))
        about = {"family": case.family, "level": case.level, "hole_ratio": ratio}
        for method in METHODS:
            measured = judges.measure(_fill(method, model, faces, case), mask)
            rows.append({"method": method, **about, **{k: summarise(v).as_dict() for k, v in measured.items()}})
        hidden = np.where(case.masks[..., None] == 1, np.uint8(128), faces.images)
        floor = judges.identities(torch.from_numpy(hidden.transpose(0, 3, 1, 2).copy()))
        rows.append({"method": "masked_input", **about, "identity": summarise(floor).as_dict()})
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


def _fill(method: str, model: ReconstructionModel, faces: EvaluationFaces, case: _Case) -> Tensor:
    if method == "model":
        return reconstruct(model, faces.images, case.masks)[0]
    filled: NDArray[np.uint8] = BASELINES[method](faces.images, case.masks)
    return torch.from_numpy(np.ascontiguousarray(filled.transpose(0, 3, 1, 2)))


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
    model = trained.build()
    scores = {}
    for case in _cases(faces, masks, features=False):
        if case.family == "brush":
            mask = torch.from_numpy(case.masks).float()[:, None]
            truth = to_uint8(from_uint8(faces.images))
            psnr = hole_psnr(reconstruct(model, faces.images, case.masks)[0], truth, mask)
            scores[f"level_{case.level}"] = psnr.double().numpy()
    return scores


def find_row(figures: dict[str, Any], method: str, family: str, level: int | None) -> dict[str, Any]:
    """The table's row for a method under one family and level.

    Raises:
        KeyError: there is none.
    """
    for row in figures["table"]:
        if (row["method"], row["family"], row["level"]) == (method, family, level):
            return dict(row)
    raise KeyError((method, family, level))
