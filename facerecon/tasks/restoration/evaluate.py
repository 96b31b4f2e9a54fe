"""The figures of a model beside its baselines under each frozen degradation, and what the report shows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.presets import find_preset
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.lighting import light_of
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.calibration import Reliability, reliability
from facerecon.evaluation.comparison import CONFIDENCE, RESAMPLES, SEED
from facerecon.evaluation.evaluation import Evaluation, Judge, ModelFacts
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR, identity, lpips
from facerecon.evaluation.judges import Judges, Truth
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.lighting import scores_by_light, scores_by_luma
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.reported import described, reported_sets
from facerecon.evaluation.scores import Scores
from facerecon.evaluation.trust import told
from facerecon.inference.upscaler import SCALE as UPSCALER_SCALE
from facerecon.models.base import RIGHT
from facerecon.models.restoration import RestorationModel
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.restoration.as_used import measure_as_used
from facerecon.tasks.restoration.baselines import (
    RidgeRegression,
    by,
    deconvolution,
    non_local_means,
    unchanged,
    unsharp,
    x4plus,
)
from facerecon.tasks.restoration.cases import DegradedCases, enlarged
from facerecon.tasks.restoration.details import Confidence, Gain, RestorationDetails
from facerecon.tasks.restoration.evaluation_settings import RestorationEvaluationSettings
from facerecon.tasks.restoration.evaluator import Restore, Restored, gallery_of, measure, restore_by_model
from facerecon.tasks.restoration.gate_settings import INPUT
from facerecon.tasks.restoration.metrics import rank_one
from facerecon.tasks.restoration.network import network_of
from facerecon.tasks.restoration.robustness import measure_robustness

ORACLE, X4PLUS = "richardson_lucy", "x4plus"

METHODS = {
    MODEL: "model",
    INPUT: "input",
    "unsharp": "unsharp mask",
    "non_local_means": "non-local means",
    "ridge": "ridge regression",
    X4PLUS: "Real-ESRGAN x4plus",
    ORACLE: "deconvolution, true kernel",
}
"""What stands in every table, by label."""


class EvaluationPart(Settings):
    """What the evaluation on the test split needs."""

    degradations: DegradationSettings
    evaluation: RestorationEvaluationSettings


@torch.inference_mode()
def evaluate(
    part: EvaluationPart,
    trained: TrainedModel,
    manifest: Manifest,
    cases: DegradedCases,
    others: Mapping[str, TrainedModel] | None = None,
) -> Evaluation:
    """Figures on the test split of the model and the baselines, and sample images.

    Where the manifest has TEST_OLD and TEST_NEW, each is measured in its place, at most ``max_faces`` of each; details
    and sample images are of the first. Of ``others`` the same is measured under the deciding degradation.

    Raises:
        FaceReconError: the test split has no face, or the model gives something that is not finite.
    """
    settings = part.evaluation
    sets = reported_sets(manifest, settings.max_faces)
    (first, faces), model = sets[0], network_of(trained)
    judges = Judges(lpips(settings.lpips_backbone), cosine := identity(settings.identity_network))
    metrics = (WHOLE_PSNR, SSIM, judges.lpips, cosine, rank_one(settings.identity_network))
    methods = _methods(model, part.degradations, manifest, cases)
    plan = {preset: _under(preset, methods, cases) for preset in cases.presets}
    trust: dict[str, list[Reliability]] = defaultdict(list)

    def observe(case: str, method: str, restored: Restored, truth: Truth) -> None:
        if restored.confidence is not None and bool(restored.finite.all()):
            errors = np.abs(restored.images.permute(0, 2, 3, 1).numpy().astype(np.int16) - truth.images).mean(axis=3)
            trust[case].append(reliability(restored.confidence[:, 0].numpy().ravel(), (errors <= RIGHT).ravel()))

    scores = Scores()
    for name, those in sets:
        watching = observe if name == first else None
        scores |= measure(name, plan, those, cases, metrics, judges, "evaluating", watching)
    if any(np.isnan(scores.values(*column)).any() for column in scores):
        raise FaceReconError(
            "the model gives values that are not finite: train it again with a lower training.learning_rate"
        )
    for name, those in sets:
        scores |= _of_others(others or {}, trained, name, those, cases, metrics, judges)
    if settings.as_used:
        few = evaluation_faces(manifest, first, min(settings.as_used, settings.max_faces))
        used, note = measure_as_used(methods[MODEL], trained.size, few, cases, manifest, judges, scores, first)
    else:
        used, note = (), "evaluation.as_used = 0"
    robustness = None
    if settings.robustness:
        both = {name: methods[name] for name in (MODEL, INPUT)}
        robustness = measure_robustness(trained, both, faces, cases, manifest, judges, first)
    about, wanted = (first, scores, faces.faces), partial(_in_lighting, cases.presets[0])
    by_luma = scores_by_luma(*about, faces.images, wanted)
    by_light = scores_by_light(*about, light_of(manifest, faces.faces), wanted)
    gallery, probes = gallery_of(faces)
    people = faces.rows["identity"]
    return Evaluation(
        model=ModelFacts.of(trained, model),
        faces=len(faces),
        identities=int(people.nunique()),
        data=manifest.digest,
        cases=cases.digest,
        metrics=metrics,
        headline=(judges.lpips.name, cases.presets[0]),
        baseline=INPUT,
        methods={name: label for name, label in METHODS.items() if any(name in under for under in plan.values())},
        judges=_judges(judges, trained.teachers),
        scores=scores | by_luma | by_light,
        details=RestorationDetails(
            scale=model.scale,
            threshold=RIGHT,
            gallery=len(gallery),
            probes=len(probes),
            recognised=int(people.iloc[probes].nunique()),
            gains=_gains(first, scores, metrics, cases.presets, faces),
            confidence=tuple(_confidence(preset, trust[preset]) for preset in cases.presets if preset in trust),
            as_used=used,
            as_used_note=note,
            robustness=robustness,
        ),
        samples=_samples(methods, faces, cases, first, scores, judges.lpips, settings.samples),
        face_sets=described(sets),
    )


def _methods(
    model: RestorationModel, degradations: DegradationSettings, manifest: Manifest, cases: DegradedCases
) -> dict[str, Restore]:
    """The model and all baselines."""
    size = manifest.size
    methods: dict[str, Restore] = {
        MODEL: restore_by_model(model),
        INPUT: by(unchanged, size),
        "unsharp": by(unsharp, size),
        "non_local_means": by(non_local_means, size),
        "ridge": by(RidgeRegression(manifest, degradations, model.scale), size),
        ORACLE: deconvolution(cases, size),
    }
    if model.scale == UPSCALER_SCALE:
        methods[X4PLUS] = x4plus()
    return methods


def _under(preset: str, methods: Mapping[str, Restore], cases: DegradedCases) -> dict[str, Restore]:
    """The methods that are measured under a degradation: the oracle where blur is all there is, and x4plus, which takes
    a third of a second a face, under the deciding one."""
    left_out = set() if find_preset(preset).blurs_alone else {ORACLE}
    left_out |= set() if preset == cases.presets[0] else {X4PLUS}
    return {name: method for name, method in methods.items() if name not in left_out}


def _of_others(
    others: Mapping[str, TrainedModel],
    trained: TrainedModel,
    face_set: str,
    faces: EvaluationFaces,
    cases: DegradedCases,
    metrics: Sequence[Metric],
    judges: Judges,
) -> Scores:
    """The scores of comparable models under the deciding degradation; of one that gives no finite ones none."""
    able = {
        label: restore_by_model(network_of(other))
        for label, other in others.items()
        if (other.task, other.size) == (trained.task, trained.size)
    }
    if not able:
        return Scores()
    plan = {cases.presets[0]: able}
    found = measure(face_set, plan, faces, cases, metrics, judges, "evaluating other models")
    return found.without({method for key, method in found if np.isnan(found.values(key, method)).any()})


def _in_lighting(case: str, key: MetricKey, method: str) -> bool:
    """What is told by lighting: PSNR under the deciding degradation of the model and of the input."""
    return (key.metric, key.case) == (WHOLE_PSNR.name, case) and method in (MODEL, INPUT)


def _judges(judges: Judges, teachers: tuple[str, ...]) -> tuple[Judge, ...]:
    assert judges.identity is not None
    same_person, network = judges.identity_network.same_person, judges.identity.judge
    note = f"on photographs, a cosine of {same_person:.3f} tells one person from two" if same_person else ""
    asked: tuple[tuple[Metric, str], ...] = ((judges.lpips, ""), (judges.identity, note), (rank_one(network), ""))
    return tuple(
        Judge(metric=metric.name, label=metric.label, network=metric.judge, in_loss=metric.judge in teachers, note=said)
        for metric, said in asked
    )


def _gains(
    face_set: str, scores: Scores, metrics: Sequence[Metric], presets: Sequence[str], faces: EvaluationFaces
) -> tuple[Gain, ...]:
    """What the model changes in each figure of the input, with the interval over people."""
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    found = []
    for preset in presets:
        for metric in metrics:
            key = MetricKey(face_set, metric.name, preset)
            if MODEL not in scores.methods(key):
                continue
            ours, theirs = scores.values(key, MODEL), scores.values(key, INPUT)
            if not (np.isfinite(ours) & np.isfinite(theirs)).all():
                continue
            of = [people[face] for face in scores.faces(key, MODEL)]
            interval = paired_interval(ours - theirs, of, RESAMPLES, CONFIDENCE, SEED)
            ratio = float(ours.mean() / theirs.mean()) if theirs.mean() > 0 else None
            about = {"case": preset, "metric": metric.name, "identities": interval.identities, "ratio": ratio}
            found.append(Gain(**about, mean=interval.mean, low=interval.low, high=interval.high))
    return tuple(found)


def _confidence(preset: str, parts: list[Reliability]) -> Confidence:
    pixels = sum(parts[1:], parts[0])
    return Confidence(case=preset, pixels=pixels.count, **told(pixels))


SHOWN_METHODS = (MODEL, "ridge")
"""What is shown of each face beside truth and input."""


def _samples(
    methods: Mapping[str, Restore],
    faces: EvaluationFaces,
    cases: DegradedCases,
    face_set: str,
    scores: Scores,
    metric: Metric,
    count: int,
) -> dict[str, NDArray[np.generic]]:
    """What the report shows: arrays of the same length.

    The first faces by hash under every degradation in turn, which nobody picked, then half as many under the deciding
    one, those that the model makes worst by ``metric``.
    """
    presets = cases.presets
    chosen = [(index, presets[index % len(presets)], "typical") for index in range(min(count, len(faces)))]
    values = scores.values(MetricKey(face_set, metric.name, presets[0]), MODEL)
    worst = sorted(range(len(faces)), key=lambda index: metric.gain(float(values[index]), 0))
    chosen += [(index, presets[0], "worst") for index in worst[: max(1, count // 2)]]
    size = faces.images.shape[1]
    degraded = {preset: cases.images(preset, faces) for preset in presets}
    rows = []
    for index, preset, _ in chosen:
        seen, name = degraded[preset][index : index + 1], faces.faces[index : index + 1]
        shown = {name_of: methods[name_of](preset, name, seen) for name_of in SHOWN_METHODS}
        confidence = shown[MODEL].confidence
        made = {name_of: each.images[0].permute(1, 2, 0).numpy() for name_of, each in shown.items()}
        rows.append(
            {
                "original": faces.images[index],
                "degraded": enlarged(seen, size)[0],
                "restored": made[MODEL],
                "ridge": made["ridge"],
                "error": np.abs(made[MODEL].astype(np.int16) - faces.images[index]).mean(axis=2).round(),
                "confidence": np.ones((size, size)) * 255 if confidence is None else confidence[0, 0].numpy() * 255,
            }
        )
    figures = {
        each: [
            float(scores.values(MetricKey(face_set, metric.name, preset), each)[index]) for index, preset, _ in chosen
        ]
        for each in (MODEL, INPUT)
    }
    return {
        "case": np.array([preset for _, preset, _ in chosen]),
        "kind": np.array([kind for *_, kind in chosen]),
        "lpips": np.array(figures[MODEL]),
        "lpips_input": np.array(figures[INPUT]),
        **{name: np.stack([row[name] for row in rows]).astype(np.uint8) for name in rows[0]},
    }
