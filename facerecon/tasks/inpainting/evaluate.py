"""The figures of a model beside its baselines on frozen masks, per level and family, and what the report shows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.lighting import light_of
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.calibration import Reliability, rank_correlation, reliability
from facerecon.evaluation.evaluation import Evaluation, Judge, ModelFacts
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR, identity, lpips
from facerecon.evaluation.judges import Judges, Truth
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.lighting import scores_by_light, scores_by_luma
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.reported import described, reported_sets
from facerecon.evaluation.scores import Scores
from facerecon.models import ReconstructionModel
from facerecon.models.base import RIGHT
from facerecon.models.layers.face_prior import FacePrior
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.inpainting.as_used import USED_CASES, measure_as_used
from facerecon.tasks.inpainting.baselines import BASELINES, fill_by_baseline
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.details import Confidence, HoleRatio, InpaintingDetails, ReliabilityBin
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.evaluator import (
    Evaluator,
    Filled,
    MaskCase,
    as_tensor,
    degraded_case,
    fill_by_model,
    mask_cases,
    measure,
)
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE
from facerecon.tasks.inpainting.network import network_of
from facerecon.tasks.inpainting.robustness import measure_robustness

HIDDEN = "masked_input"
"""What is hidden and not filled, as if it were a method: how much of the identity shows without any."""

BASELINE = "telea"
"""Beside which a model is summed up."""

METHODS = {MODEL: "model", BASELINE: "Telea", "mean_fill": "mean fill", HIDDEN: "hidden input"}
"""What stands in every table, by label; HIDDEN is no method but the floor of identity."""

_PARTS = (slice(36, 48), slice(27, 36), slice(48, 68))
"""Eyes, nose and mouth among the 68 points."""


@dataclass
class Trust:
    """How far confidence can be trusted in one case, gathered batch by batch."""

    pixels: list[Reliability] = field(default_factory=list)
    ranks: list[float | None] = field(default_factory=list)

    def update(
        self, confidence: Tensor, composites: Tensor, truth: NDArray[np.uint8], masks: NDArray[np.uint8]
    ) -> None:
        """``confidence`` [N, 1, H, W] of ``composites`` uint8 [N, 3, H, W] in the holes of ``masks`` [N, H, W]."""
        painted = composites.permute(0, 2, 3, 1).numpy().astype(np.int16)
        errors = np.abs(painted - truth).mean(axis=3)
        for said, error, mask in zip(confidence[:, 0].double().numpy(), errors, masks, strict=True):
            hole = mask == 1
            self.pixels.append(reliability(said[hole], error[hole] <= RIGHT))
            self.ranks.append(rank_correlation(said[hole], error[hole]))


def fill_with_gray(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Filled:
    """The images with their holes left gray."""
    hidden = channels_first(np.where(masks[..., None] == 1, np.uint8(128), images))
    return Filled(hidden, torch.ones(len(hidden), dtype=torch.bool))


class EvaluationPart(Settings):
    """What the evaluation on the test split needs."""

    masks: MaskSettings
    degradations: DegradationSettings | None = None
    evaluation: InpaintingEvaluationSettings


@torch.inference_mode()
def evaluate(
    part: EvaluationPart,
    trained: TrainedModel,
    manifest: Manifest,
    mask_set: MaskCases,
    others: Mapping[str, TrainedModel] | None = None,
) -> Evaluation:
    """Figures on the test split of the model, Telea and mean fill, and sample images.

    With degradations, brush masks over degraded faces are cases besides: there the degraded face is the truth.

    Where the manifest has TEST_OLD and TEST_NEW, each is measured in its place, at most ``max_faces`` of each; details
    and sample images are of the first. Of ``others`` hole PSNR, LPIPS and identity are measured under brush masks.

    Raises:
        FaceReconError: the test split has no face, or the model gives something that is not finite.
    """
    settings, masks, parts = part.evaluation, mask_set.masks, part.masks.evaluate_features
    reported = reported_sets(manifest, settings.max_faces)
    sets = [(name, faces, mask_cases(faces, masks, parts=parts)) for name, faces in reported]
    (first, faces, cases), model = sets[0], network_of(trained)
    metrics = (WHOLE_PSNR, HOLE_PSNR, SSIM, lpips(settings.lpips_backbone), identity(settings.identity_network))
    judges = Judges(*metrics[-2:])
    methods = {MODEL: fill_by_model(model), **{name: fill_by_baseline(name) for name in METHODS if name in BASELINES}}
    methods[HIDDEN] = fill_with_gray
    trust: dict[tuple[str, int], Trust] = defaultdict(Trust)

    def observe(case: MaskCase, method: str, filled: Filled, truth: Truth, masks: NDArray[np.uint8]) -> None:
        if filled.confidence is not None and bool(filled.finite.all()):
            trust[case.case, case.level].update(filled.confidence, filled.images, truth.images, masks)

    def asked(case: MaskCase, method: str) -> Sequence[Metric]:
        # of what is only hidden, the identity alone says something
        return metrics[-1:] if method == HIDDEN else metrics

    scores = Scores()
    for name, those, their_cases in sets:
        evaluator, watching = Evaluator(name, asked, judges), observe if name == first else None
        scores |= measure(evaluator, methods, those, their_cases, "evaluating", watching)
        for preset in () if part.degradations is None else part.degradations.evaluation:
            assert mask_set.degraded is not None
            seen, case = degraded_case(those, masks, mask_set.degraded, preset)
            scores |= measure(evaluator, methods, seen, [case], f"evaluating under {preset}", watching)
            if name == first:
                cases.append(case)
    if any(np.isnan(scores.values(*column)).any() for column in scores):
        raise FaceReconError(
            "the model gives values that are not finite: train it again with a lower training.learning_rate"
        )
    for name, those, _ in sets:
        beside = Evaluator(name, lambda case, method: (HOLE_PSNR, *metrics[-2:]), judges)
        able = {label: other for label, other in (others or {}).items() if _comparable(other, trained)}
        scores |= _of_others(able, beside, those, masks)
    by_luma = scores_by_luma(first, scores, faces.faces, faces.images, _in_lighting)
    by_light = scores_by_light(first, scores, faces.faces, light_of(manifest, faces.faces), _in_lighting)
    details = _details(trained, model, cases, trust)
    fills = {name: methods[name] for name in (MODEL, BASELINE)}
    if settings.as_used:
        few = evaluation_faces(manifest, first, min(settings.as_used, settings.max_faces))
        few_cases = [case for case in mask_cases(few, masks, parts=parts) if case.case in USED_CASES]
        rows, note = measure_as_used(fills, few, few_cases, manifest, scores, first)
    else:
        rows, note = (), "evaluation.as_used = 0"
    robustness = None
    if settings.robustness:
        robustness = measure_robustness(trained, fills, faces, mask_set, manifest, judges, first)
    details = details.model_copy(update={"as_used": rows, "as_used_note": note, "robustness": robustness})
    prior = [module for module in model.modules() if isinstance(module, FacePrior)]
    return Evaluation(
        model=ModelFacts.of(trained, model, sum(values.numel() for each in prior for values in each.buffers())),
        faces=len(faces),
        identities=int(faces.rows["identity"].nunique()),
        data=manifest.digest,
        cases=mask_set.digest,
        metrics=metrics,
        headline=(HOLE_PSNR.name, MAIN_CASE),
        baseline=BASELINE,
        methods=METHODS,
        judges=_judges(metrics[-2:], trained.teachers, judges.identity_network.same_person),
        scores=scores | by_luma | by_light,
        details=details,
        samples=_samples(model, faces, _chosen(first, faces, masks, scores, settings.samples)),
        face_sets=described(reported),
    )


def _comparable(other: TrainedModel, trained: TrainedModel) -> bool:
    return (other.task, other.size) == (trained.task, trained.size)


def _of_others(
    others: Mapping[str, TrainedModel], evaluator: Evaluator, faces: EvaluationFaces, masks: MaskSet
) -> Scores:
    """The scores of other models under brush masks, as those of methods; of one that gives no finite ones none."""
    if not others:
        return Scores()
    methods = {label: fill_by_model(network_of(other)) for label, other in others.items()}
    found = measure(evaluator, methods, faces, mask_cases(faces, masks, MAIN_CASE), "evaluating other models")
    unfit = {method for key, method in found if np.isnan(found.values(key, method)).any()}
    return found.without(unfit)


def _judges(metrics: Sequence[Metric], teachers: tuple[str, ...], same_person: float | None) -> tuple[Judge, ...]:
    note = f"on photographs, a cosine of {same_person:.3f} tells one person from two" if same_person else ""
    return tuple(
        Judge(metric=metric.name, label=metric.label, network=metric.judge, in_loss=metric.judge in teachers, note=said)
        for metric, said in zip(metrics, ("", note), strict=True)
    )


def _details(
    trained: TrainedModel, model: ReconstructionModel, cases: list[MaskCase], trust: dict[tuple[str, int], Trust]
) -> InpaintingDetails:
    ratios = []
    for case in cases:
        ratio = float(case.masks[case.masks.any(axis=(1, 2))].mean(dtype=np.float64))
        ratios.append(HoleRatio(case=case.case, level=case.level, ratio=ratio))
    blank = torch.zeros(1, 3, trained.size, trained.size), torch.ones(1, 1, trained.size, trained.size)
    return InpaintingDetails(
        threshold=RIGHT,
        attention=tuple(model.attention(*blank)),
        hole_ratios=tuple(ratios),
        confidence=tuple(_confidence(case, trust[key]) for case in cases if (key := (case.case, case.level)) in trust),
    )


def _confidence(case: MaskCase, found: Trust) -> Confidence:
    pixels = sum(found.pixels[1:], found.pixels[0])
    ranks = [rank for rank in found.ranks if rank is not None]
    return Confidence(
        case=case.case,
        level=case.level,
        pixels=pixels.count,
        faces=len(found.pixels),
        brier=pixels.brier,
        brier_constant=pixels.brier_constant,
        rank_correlation=sum(ranks) / len(ranks) if ranks else None,
        calibration_error=pixels.calibration_error,
        mean_confidence=pixels.mean_confidence,
        share_right=pixels.share_right,
        bins=tuple(ReliabilityBin.model_validate(row) for row in pixels.bins()),
    )


def _in_lighting(key: MetricKey, method: str) -> bool:
    """What is told by lighting: hole PSNR under brush masks of the model and of Telea."""
    return (key.metric, key.case) == (HOLE_PSNR.name, MAIN_CASE) and method in (MODEL, BASELINE)


@dataclass(frozen=True)
class _Shown:
    """Faces to show: their ``index`` in the split, the ``level`` of their brush mask and the mask itself, and why."""

    index: list[int]
    level: list[int]
    kind: list[str]
    masks: NDArray[np.uint8]


def _chosen(face_set: str, faces: EvaluationFaces, masks: MaskSet, scores: Scores, count: int) -> _Shown:
    """The first faces by hash under brush masks of every level in turn, which nobody picked, and then the worst.

    The worst, half as many, are the faces of the lowest hole PSNR under any brush mask, each under its own worst.
    """
    levels = scores.levels(face_set, HOLE_PSNR.name, MAIN_CASE)
    typical = list(range(min(count, len(faces))))
    shown = [(index, levels[index % len(levels)], "typical") for index in typical]
    psnr = [(level, scores.values(MetricKey(face_set, HOLE_PSNR.name, MAIN_CASE, level), MODEL)) for level in levels]
    lowest = sorted((*min((values[index], level) for level, values in psnr), index) for index in range(len(faces)))
    shown += [(index, level, "worst") for _, level, index in lowest[: max(1, count // 2)]]
    index, level, kind = (list(column) for column in zip(*shown, strict=True))
    holes = np.stack([masks.for_face(faces.sha256s[i], k, MAIN_CASE) for i, k in zip(index, level, strict=True)])
    return _Shown(index, level, kind, holes)


def _samples(model: ReconstructionModel, faces: EvaluationFaces, shown: _Shown) -> dict[str, NDArray[np.generic]]:
    """What the report shows of each face: arrays of the same length."""
    images, holes = faces.images[shown.index], shown.masks
    mask = as_tensor(holes)
    filled = fill_by_model(model)(images, holes)
    reconstructed = filled.images.permute(0, 2, 3, 1).numpy()
    confidence = torch.ones_like(mask) if filled.confidence is None else filled.confidence
    maps = [_bytes(values) for values in model.attention(from_uint8(images), mask).values()]
    return {
        "level": np.array(shown.level),
        "kind": np.array(shown.kind),
        "original": images,
        "mask": holes,
        "reconstructed": reconstructed,
        "telea": BASELINES[BASELINE](images, holes),
        "error": np.abs(reconstructed.astype(np.int16) - images).mean(axis=3).round().astype(np.uint8),
        "confidence": _bytes(confidence),
        "attention": np.stack(maps, axis=1) if maps else np.empty((len(images), 0, *images.shape[1:3]), np.uint8),
        "boxes": np.stack([_boxes(faces.points[index].sixty_eight, images.shape[1]) for index in shown.index]),
        "hole_psnr": hole_psnr(filled.images, channels_first(images), mask).float().numpy(),
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
