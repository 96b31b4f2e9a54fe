"""The figures of a model beside its baselines under each condition, and what the report shows."""

from collections.abc import Mapping
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.geometry import outlined
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.calibration import Reliability, reliability
from facerecon.evaluation.evaluation import TEST, Evaluation, FaceSet, ModelFacts
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.reported import reported_names
from facerecon.evaluation.scores import Scores
from facerecon.evaluation.trust import told
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.landmarks.as_used import measure_as_used
from facerecon.tasks.landmarks.baselines import (
    HOG,
    MEAN,
    PLACED,
    HogRidge,
    MeanShape,
    MediaPipe,
    PlacedMeanDepth,
)
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.dataset import TrainingFaces, samples
from facerecon.tasks.landmarks.details import MEDIAPIPE, AsUsed, Confidence, LandmarkDetails, Truth
from facerecon.tasks.landmarks.evaluation_settings import LandmarkEvaluationSettings
from facerecon.tasks.landmarks.evaluator import (
    Find,
    Found,
    Measured,
    find_by_model,
    is_near,
    measure,
    measured_faces,
)
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import DEPTH, FAILURE, NME, NME_3D, VERTEX
from facerecon.tasks.landmarks.network import network_of
from facerecon.tasks.landmarks.shape import MEAN_FACE, MEDIAPIPE_FIT, Shapes
from facerecon.tasks.landmarks.training_settings import TrainingSettings
from facerecon.tasks.landmarks.truth import known_faces

METHODS = {
    MODEL: "model",
    MEAN: "mean shape",
    HOG: "HOG and ridge regression",
    PLACED: "mean depth, placed by the model's points",
    MEDIAPIPE: "MediaPipe, crop enlarged",
    MEAN_FACE: "mean face in 3D",
    MEDIAPIPE_FIT: "face fitted to MediaPipe's points",
}
"""What stands in every table, by label."""

FITTED = 9000
"""Training crops that the baselines are fitted to."""

APART = {Truth.GIVEN: "given_points", Truth.MEDIAPIPE: "photographs"}
"""Ends the name of a face set by its truth, beside one of an earlier truth; what is exact is the first."""


class EvaluationPart(Settings):
    """What the evaluation on the test split needs."""

    degradations: DegradationSettings
    evaluation: LandmarkEvaluationSettings


def evaluate(
    part: EvaluationPart,
    trained: TrainedModel,
    manifest: Manifest,
    cases: LandmarkCases,
    others: Mapping[str, TrainedModel] | None = None,
) -> Evaluation:
    """Figures on the test split of the model and the baselines, and sample images.

    Where the manifest has TEST_OLD and TEST_NEW, each is measured in its place, at most ``max_faces`` of each; faces of
    one truth are measured apart from those of another. Details and sample images are of the first. Of ``others`` the
    same is measured.

    Raises:
        FaceReconError: no face of the test split can be measured, or the model gives something that is not finite.
    """
    settings, sets = part.evaluation, _sets(manifest, cases, part.evaluation.max_faces)
    (first, measured), model = sets[0], network_of(trained)
    beside = {name: _Beside(name, those, manifest, cases) for name, those in sets}
    scores, used = Scores(), list[AsUsed]()
    with closing(MediaPipe()) as mediapipe:
        ours = find_by_model(model)
        methods: dict[Truth, dict[str, Find]] = {}
        for name, those in sets:
            if those.truth not in methods:
                fitted = _fitted(part, manifest, those.truth, ours)
                methods[those.truth] = {MODEL: ours, **fitted, MEDIAPIPE: mediapipe}
            # of a teacher no agreement with itself is told, and where no depth is known none is placed
            left_out = {Truth.EXACT: (), Truth.GIVEN: (PLACED,), Truth.MEDIAPIPE: (MEDIAPIPE, PLACED)}[those.truth]
            able = {each: find for each, find in methods[those.truth].items() if each not in left_out}
            scores |= measure(name, able, those, cases, "evaluating", beside[name].observe)
            scores |= beside[name].shapes.scores()
            few = those.first(settings.as_used)
            used.append(measure_as_used(ours, trained.size, few, cases, manifest, scores, name))
        shown = _samples(methods[measured.truth], measured, cases, beside[first].shapes, scores, settings.samples)
    if any(len(scores.values(MetricKey(first, NME.name, preset), MODEL)) < len(measured) for preset in cases.presets):
        raise FaceReconError(
            "the model gives values that are not finite: train it again with a lower training.learning_rate"
        )
    for label, other in (others or {}).items():
        if (other.task, other.size) == (trained.task, trained.size):
            for name, those in sets:
                find = {label: find_by_model(network_of(other))}
                shapes = beside[name].shapes
                found = measure(name, find, those, cases, observe=shapes.observe)
                if len(found.values(MetricKey(name, NME.name, ALL), label)) == len(those):
                    scores |= found | shapes.scores([label])
    people = measured.faces.rows["identity"]
    return Evaluation(
        model=ModelFacts.of(trained, model),
        faces=len(measured),
        identities=int(people.nunique()),
        data=manifest.digest,
        cases=cases.digest,
        metrics=(NME, NME_3D, FAILURE, DEPTH, VERTEX),
        headline=(NME.name, ALL),
        baseline=HOG,
        methods=METHODS,
        judges=(),
        scores=scores,
        details=LandmarkDetails(
            truths={name: those.truth for name, those in sets},
            left_out=cases.left_out,
            not_found=beside[first].missed,
            confidence=tuple(
                Confidence(face_set=name, case=preset, points=trust.count, **told(trust))
                for name, each in beside.items()
                for preset, trust in each.trust.items()
            ),
            as_used=tuple(used),
            shapes=tuple(each.shapes.told() for each in beside.values()),
        ),
        samples=shown,
        face_sets=_described(sets),
    )


class _Beside:
    """What is taken down beside the scores while a face set is measured: the ``shapes`` of faces, ``trust`` in the
    confidence by condition, and the share of faces that MediaPipe ``missed``."""

    def __init__(self, name: str, measured: Measured, manifest: Manifest, cases: LandmarkCases) -> None:
        self.shapes, self._measured = Shapes(name, measured, manifest, cases), measured
        self.trust: dict[str, Reliability] = {}
        self.missed: dict[str, float] = {}

    def observe(self, preset: str, method: str, found: Found) -> None:
        """Take down what ``method`` found under a degradation."""
        self.shapes.observe(preset, method, found)
        if method == MODEL and found.confidence is not None:
            self.trust[preset] = reliability(found.confidence.ravel(), is_near(found, self._measured).ravel())
        if method == MEDIAPIPE and found.points is not None:
            self.missed[preset] = float(np.isnan(found.points).any(axis=(1, 2)).mean())


def _sets(manifest: Manifest, cases: LandmarkCases, most: int) -> list[tuple[str, Measured]]:
    found = [(name, measured_faces(manifest, cases, name, most)) for name in reported_names(manifest)]
    sets = [
        (name if place == 0 else f"{name}_{APART[those.truth]}", those)
        for name, parts in found
        for place, those in enumerate(parts)
    ]
    if not sets:
        raise FaceReconError(
            "no face of the test split can be measured: give more people, or raise data.splits.test, and photographs "
            "with room about the faces"
        )
    return sets


def _described(sets: list[tuple[str, Measured]]) -> tuple[FaceSet, ...]:
    """What an evaluation says of its sets; nothing of the test split alone."""
    if [name for name, _ in sets] == [TEST]:
        return ()
    return tuple(
        FaceSet(name=name, faces=len(those), identities=int(those.faces.rows["identity"].nunique()))
        for name, those in sets
    )


def _fitted(part: EvaluationPart, manifest: Manifest, truth: Truth, model: Find) -> dict[str, Find]:
    """The baselines that are fitted to training crops: to those of the same truth, which suits them best, or to all
    where there are none."""
    known = known_faces(manifest, manifest.split("train")["face"].tolist())
    same = {face: each for face, each in known.items() if each.truth is truth}
    degrade = TrainingDegradations(part.degradations, manifest.size)
    faces = TrainingFaces(manifest, same or known, TrainingSettings(without_face=0), degrade, part.degradations.seed)
    seen = samples(faces, FITTED)
    return {MEAN: MeanShape(seen), HOG: HogRidge(seen), PLACED: PlacedMeanDepth(seen, model)}


def _samples(
    methods: Mapping[str, Find],
    measured: Measured,
    cases: LandmarkCases,
    shapes: Shapes,
    scores: Scores,
    count: int,
) -> dict[str, NDArray[np.generic]]:
    """What the report shows: arrays of the same length.

    The first faces by hash under every condition in turn, which nobody picked, then half as many of those that the
    model finds worst under all.
    """
    presets = cases.presets
    chosen = [(index, presets[index % len(presets)], "typical") for index in range(min(count, len(measured)))]
    values = scores.values(MetricKey(shapes.face_set, NME.name, ALL), MODEL)
    worst = np.argsort(-values)[: max(1, count // 2)].tolist() if len(values) == len(measured) else []
    chosen += [(index, presets[-1], "worst") for index in worst]
    images = {preset: cases.images(preset, measured.names) for preset in presets}
    rows = []
    for index, preset, _ in chosen:
        seen = images[preset][index : index + 1]
        found, hog = methods[MODEL](seen), methods[HOG](seen)
        assert found.points is not None
        assert hog.points is not None
        assert found.depth is not None
        assert found.confidence is not None
        target = measured.targets[index]
        rows.append(
            {
                "image": seen[0],
                "points": found.points[0],
                "hog": hog.points[0],
                "truth": target.points,
                "depth": np.where(outlined(found.points[0], len(seen[0])), found.depth[0], np.nan).astype(np.float32),
                "true_depth": np.where(target.inside, target.depth, np.nan).astype(np.float32),
                "confidence": found.confidence[0],
                **shapes.sample(index, found),
            }
        )
    return {
        "case": np.array([preset for _, preset, _ in chosen]),
        "kind": np.array([kind for *_, kind in chosen]),
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
    }
