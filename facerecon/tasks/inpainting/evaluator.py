"""Measuring whatever fills holes, face by face: every figure is of composites under one way of hiding the faces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.frozen_degradations import DegradedSet
from facerecon.corruption.masks import FEATURE_PARTS, PART_GROUPS, draw_feature_mask, draw_part_mask
from facerecon.data.datasets import EvaluationFaces
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR
from facerecon.evaluation.judges import Judges, Truth
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.evaluation.scores import Scores
from facerecon.models import ReconstructionModel
from facerecon.progress import track
from facerecon.tasks.inpainting.losses import hole_l1
from facerecon.tasks.inpainting.metrics import DEGRADED, HOLE_L1, HOLE_PSNR, MAIN_CASE

BATCH = 16


@dataclass(frozen=True)
class MaskCase:
    """One way of hiding all faces: a mask family at a level, or (level -1) a part of the face, by its points
    ("features/...") or as its source labels it ("parts/..."); ``masks`` uint8 [N, H, W], 1 = hole.

    The mask of a face that has no such part inside its image is empty: the case leaves that face out. ``seen`` uint8
    [N, H, W, 3] is what of a face is known where that is not the true face itself.
    """

    case: str
    level: int
    masks: NDArray[np.uint8]
    seen: NDArray[np.uint8] | None = None


def mask_cases(
    faces: EvaluationFaces, masks: MaskSet, family: str | None = None, parts: bool = False
) -> list[MaskCase]:
    """The frozen masks of these faces by family and level, of one ``family`` or all, with ``parts`` of the face too."""
    cases = [
        MaskCase(name, level, np.stack([masks.for_face(sha, level, name) for sha in faces.sha256s]))
        for level, name in sorted(masks.masks, key=lambda key: (key[1], key[0]))
        if family in (None, name) and len(faces)
    ]
    if parts:
        size = faces.images.shape[1]
        for part in FEATURE_PARTS:
            drawn = [_part_mask(part, points.sixty_eight, size) for points in faces.points]
            cases.append(MaskCase(f"features/{part}", -1, np.stack(drawn)))
        for group in PART_GROUPS:
            drawn = [_group_mask(group, labels, size) for labels in faces.parts]
            cases.append(MaskCase(f"parts/{group}", -1, np.stack(drawn)))
    return [case for case in cases if case.masks.any()]


def middle_case(faces: EvaluationFaces, masks: MaskSet) -> MaskCase:
    """The brush masks of the middle level."""
    levels = mask_cases(faces, masks, MAIN_CASE)
    return levels[len(levels) // 2]


def degraded_case(
    faces: EvaluationFaces, masks: MaskSet, degraded: DegradedSet, preset: str
) -> tuple[EvaluationFaces, MaskCase]:
    """These faces as ``preset`` has degraded them, which is then the truth, and their brush masks of the middle level.

    Raises:
        FaceReconError: the preset, or one of the faces, is not among the ``degraded`` ones.
    """
    case = replace(middle_case(faces, masks), case=f"{DEGRADED}{preset}")
    return replace(faces, images=degraded.for_faces(preset, faces.faces)), case


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


class Filled(NamedTuple):
    """Composites uint8 [N, 3, H, W], and which of them are finite, bool [N]: one that is not is grey.

    ``reconstruction`` float [N, 3, H, W] in [-1, 1] is the composite before rounding, ``confidence`` float [N, 1, H, W]
    in [0, 1]; None where the method has none.
    """

    images: Tensor
    finite: Tensor
    reconstruction: Tensor | None = None
    confidence: Tensor | None = None


Fill = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Filled]
"""Takes images uint8 [N, H, W, 3] and masks [N, H, W] (1 = hole)."""


def fill_by_model(model: ReconstructionModel, device: torch.device | None = None) -> Fill:
    """The model's composites, in batches of BATCH."""

    @torch.inference_mode()
    def fill(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Filled:
        parts = []
        for start in range(0, len(images), BATCH):
            image, mask = from_uint8(images[start : start + BATCH]), as_tensor(masks[start : start + BATCH])
            if device is not None:
                image, mask = image.to(device), mask.to(device)
            output = model(image, mask)
            finite = output.reconstruction.isfinite().all(dim=3).all(dim=2).all(dim=1)
            shown = to_uint8(output.reconstruction.where(finite[:, None, None, None], 0.0))
            confidence = None if output.confidence_logits is None else output.confidence(mask)
            parts.append((shown, finite, output.reconstruction, confidence))
        sure = [part[3] for part in parts if part[3] is not None]
        shown, finite, reconstruction = (torch.cat(each) for each in zip(*(part[:3] for part in parts), strict=True))
        return Filled(shown, finite, reconstruction, torch.cat(sure) if sure else None)

    return fill


def as_tensor(masks: NDArray[np.uint8]) -> Tensor:
    """Masks [N, H, W] as float32 [N, 1, H, W]."""
    return torch.from_numpy(masks).float()[:, None]


class Evaluator:
    """Collects the figures of composites on one face set: ``update`` with a batch of a case, ``compute`` at the end.

    ``metrics`` gives what is measured under a case of a method. A figure of a composite that is not finite is NaN; a
    metric's ceiling holds where ``capped``.
    """

    def __init__(
        self,
        face_set: str,
        metrics: Callable[[MaskCase, str], Sequence[Metric]],
        judges: Judges | None = None,
        capped: bool = False,
    ) -> None:
        self.face_set, self.metrics, self.judges, self.capped = face_set, metrics, judges, capped
        self._scores = Scores()

    def update(self, case: MaskCase, method: str, filled: Filled, truth: Truth, masks: NDArray[np.uint8]) -> None:
        """Measure a batch: ``masks`` uint8 [N, H, W] are the case's for the faces of ``truth``."""
        for metric in self.metrics(case, method):
            values = self._measure(metric, filled, truth, as_tensor(masks).to(filled.images.device))
            if self.capped and metric.ceiling is not None:
                values = values.clamp(max=metric.ceiling)
            values = values.where(filled.finite, torch.nan)
            self._add(metric, case, method, truth, values)

    def compute(self) -> Scores:
        """All figures so far."""
        return self._scores

    def _add(self, metric: Metric, case: MaskCase, method: str, truth: Truth, values: Tensor) -> None:
        key = MetricKey(self.face_set, metric.name, case.case, case.level)
        self._scores.add(key, method, truth.faces, values.double().cpu().numpy())

    def _measure(self, metric: Metric, filled: Filled, truth: Truth, mask: Tensor) -> Tensor:
        images = filled.images
        if self.judges is not None and metric == self.judges.lpips:
            return self.judges.distance(images, truth)
        if self.judges is not None and metric == self.judges.identity:
            return self.judges.cosine(images, truth)
        true_images = channels_first(truth.images).to(images.device)
        if metric == HOLE_L1:
            assert filled.reconstruction is not None
            return hole_l1(filled.reconstruction, from_uint8(truth.images).to(images.device), mask)
        if metric == HOLE_PSNR:
            return hole_psnr(images, true_images, mask)
        return {WHOLE_PSNR: whole_psnr, SSIM: ssim}[metric](images, true_images)


@torch.inference_mode()
def measure(
    evaluator: Evaluator,
    methods: Mapping[str, Fill],
    faces: EvaluationFaces,
    cases: Sequence[MaskCase],
    what: str,
    observe: Callable[[MaskCase, str, Filled, Truth, NDArray[np.uint8]], None] | None = None,
) -> Scores:
    """The figures of all methods under all cases; ``observe`` is given each batch too.

    Batch by batch, because the perceptual network's features of all faces at once would not fit into memory. ``what``
    names the work where its progress is shown.
    """
    points, names = faces.points5(), faces.faces
    for start in track(range(0, len(faces), BATCH), what) if what else range(0, len(faces), BATCH):
        part = slice(start, start + BATCH)
        if evaluator.judges is None:
            batch = Truth(names[part], faces.images[part], points[part], [], torch.empty(0))
        else:
            batch = evaluator.judges.look(names[part], faces.images[part], points[part])
        for case in cases:
            chosen = np.asarray(case.masks[part].any(axis=(1, 2)))
            if not chosen.any():
                continue
            truth, masks = batch.take(chosen), case.masks[part][chosen]
            seen = truth.images if case.seen is None else case.seen[part][chosen]
            for method, fill in methods.items():
                filled = fill(seen, masks)
                evaluator.update(case, method, filled, truth, masks)
                if observe is not None:
                    observe(case, method, filled, truth, masks)
    return evaluator.compute()
