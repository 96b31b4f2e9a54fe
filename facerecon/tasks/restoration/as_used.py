"""As used: the photograph is degraded, and the face is found and aligned as it is then.

Faces that are aligned while they are clear and degraded afterwards flatter: here the photograph is degraded as the
frozen crop was, from there on the chain of inference does what it does in use, and what comes out is cut and measured
where the face truly is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.corruption.degradations import degrade_photograph
from facerecon.data.datasets import EvaluationFaces
from facerecon.data.geometry import cut
from facerecon.data.manifest import Manifest
from facerecon.evaluation.as_used import UsedFigure, paired
from facerecon.evaluation.image_metrics import CEILING, WHOLE_PSNR
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.metrics import channels_first
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.inference.chain import composite
from facerecon.inference.frames import Frame
from facerecon.inference.photographs import Photograph, at_true, note, photographs
from facerecon.inference.restoration import Restored
from facerecon.inference.stage import Runtime
from facerecon.inference.stages.detect import Detect, DetectSettings
from facerecon.inference.stages.restore import restore_faces
from facerecon.randomness import generator
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.evaluator import Restore, value_of
from facerecon.tasks.restoration.gate_settings import INPUT

Values = dict[str, dict[str, dict[str, float]]]
"""By method and metric the figure of each face that was found."""


@dataclass(frozen=True)
class _Setup:
    """What all photographs are measured with; ``size`` is the network's."""

    faces: EvaluationFaces
    cases: DegradedCases
    restore: Restore
    size: int
    judges: Judges
    detect: Detect


@torch.inference_mode()
def measure_as_used(
    restore: Restore,
    size: int,
    faces: EvaluationFaces,
    cases: DegradedCases,
    manifest: Manifest,
    judges: Judges,
    scores: Scores,
    face_set: str,
) -> tuple[tuple[UsedFigure, ...], str]:
    """A row for model and input, each degradation and metric, and what could not be measured, "" if all was.

    ``restore`` is what a network for crops of ``size`` pixels makes; ``scores`` has what was measured on ``face_set``
    of the same faces, degraded after they were aligned.
    """
    unfit, asked = Counter[str](), 0
    found: dict[str, Values] = {preset: {MODEL: {}, INPUT: {}} for preset in cases.presets}
    with Runtime() as runtime, closing(Detect(DetectSettings(faces="all"))) as detect:
        setup = _Setup(faces, cases, restore, size, judges, detect)
        for chosen in photographs(faces, manifest, unfit):
            detect.open(runtime)  # not before there is something to look at; what it loads is held
            asked += len(chosen)
            for preset in cases.presets:
                _measure(setup, preset, chosen, found[preset])
    if not asked:
        return (), note(unfit, len(faces))
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    rows = tuple(
        _row(MetricKey(face_set, metric.name, preset), method, asked, values.get(metric.name, {}), scores, people)
        for preset, methods in found.items()
        for method, values in methods.items()
        for metric in _metrics(judges)
    )
    return rows, note(unfit, len(faces))


def _metrics(judges: Judges) -> Sequence[Metric]:
    assert judges.identity is not None
    return WHOLE_PSNR, judges.lpips, judges.identity


def _measure(setup: _Setup, preset: str, chosen: list[Photograph], into: Values) -> None:
    degraded = [Frame(_degraded(setup, preset, photo)) for photo in chosen]
    told = [(photo, at_true(frame, photo)) for photo, frame in zip(chosen, setup.detect.run(degraded), strict=True)]
    found = [(photo, frame) for photo, frame in told if frame.faces]
    if not found:
        return
    frames = [frame for _, frame in found]
    made = {MODEL: restore_faces(frames, setup.size, _as_stage(setup.restore, preset)), INPUT: frames}
    index, faces = [photo.index for photo, _ in found], setup.faces
    names = tuple(faces.faces[each] for each in index)
    truth = setup.judges.look(names, faces.images[index], faces.points5()[index])
    for method, results in made.items():
        cuts = [
            cut(composite(frame).image, photo.square, faces.images.shape[1])[0]
            for frame, (photo, _) in zip(results, found, strict=True)
        ]
        images = channels_first(np.stack(cuts))
        for metric in _metrics(setup.judges):
            values = value_of(metric, images, truth, setup.judges)
            into[method].setdefault(metric.name, {}).update(zip(names, values.tolist(), strict=True))


def _degraded(setup: _Setup, preset: str, photo: Photograph) -> NDArray[np.uint8]:
    name, degraded = setup.faces.faces[photo.index], setup.cases.degraded
    drawn, rng = degraded.degradation(preset, name), generator("degraded photograph", preset, name)
    return degrade_photograph(photo.image, drawn, rng, photo.square.side, degraded.scale)


def _as_stage(restore: Restore, preset: str) -> Callable[[NDArray[np.uint8]], Restored]:
    """What the chain of inference restores faces with."""

    def restored(images: NDArray[np.uint8]) -> Restored:
        made = restore(preset, (), images).images.permute(0, 2, 3, 1).numpy()
        return Restored(made, np.ones(made.shape[:3], np.float32))

    return restored


def _row(
    key: MetricKey, method: str, asked: int, used: Mapping[str, float], scores: Scores, people: Mapping[str, str]
) -> UsedFigure:
    # equal images have no finite PSNR, and the difference of two such none at all
    most = CEILING if key.metric == WHOLE_PSNR.name else np.inf
    known = zip(scores.faces(key, method), np.minimum(scores.values(key, method), most), strict=True)
    capped = {face: min(value, most) for face, value in used.items()}
    about = {"case": key.case, "method": method, "metric": key.metric, "faces": asked}
    return UsedFigure(**about, **paired(dict(known), capped, people))
