"""As used: the photograph is degraded, and the face is found in it by the detectors that use has.

All else in use is the chain's: the crop about what was found, the network, the second crop about its points.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradations import degrade_photograph
from facerecon.data.geometry import Square, box_of
from facerecon.data.manifest import Manifest
from facerecon.evaluation.as_used import UsedFigure, paired
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.inference.frames import FOUND_BY, LANDMARKS68, POINTS3D, Face, Frame
from facerecon.inference.landmarks import Measured as Seen
from facerecon.inference.photographs import Photograph, at_true, note, photographs
from facerecon.inference.stage import Runtime
from facerecon.inference.stages.detect import Detect, DetectSettings, faces_by_mtcnn
from facerecon.inference.stages.landmarks import LEAST, measure_faces
from facerecon.perception.landmarks import Points
from facerecon.perception.mtcnn import Mtcnn
from facerecon.randomness import generator
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.details import AS_USED, MEDIAPIPE, MTCNN, AsUsed, Truth
from facerecon.tasks.landmarks.evaluator import Find, Measured
from facerecon.tasks.landmarks.metrics import NME
from facerecon.tasks.landmarks.placement import beside
from facerecon.tasks.landmarks.truth import Known, known_faces


def measure_as_used(
    find: Find,
    size: int,
    measured: Measured,
    cases: LandmarkCases,
    manifest: Manifest,
    scores: Scores,
    face_set: str,
) -> AsUsed:
    """NME for each of AS_USED under each degradation; of a teacher no agreement with itself is told.

    ``find`` is the model on crops of ``size`` pixels; ``scores`` has what was measured on the frozen crops. A face that
    no detector finds, and one that the model is too unsure of to tell of it, counts as not found.
    """
    unfit, asked = Counter[str](), 0
    known = known_faces(manifest, list(measured.names))
    methods = [each for each in AS_USED if (each, measured.truth) != (MEDIAPIPE, Truth.MEDIAPIPE)]
    found: dict[tuple[str, str], dict[str, float]] = {
        (preset, method): {} for preset in cases.presets for method in methods
    }
    faceless, refused = 0, Counter[str]()
    with Runtime() as runtime, closing(Detect(DetectSettings(faces="all"))) as detect:
        for chosen in photographs(measured.faces, manifest, unfit):
            detect.open(runtime)  # not before there is something to look at; what it loads is held
            mtcnn = runtime.held("mtcnn", lambda: Mtcnn(runtime.threads))
            asked += len(chosen)
            names = [measured.names[photo.index] for photo in chosen]
            without = [_beside(photo, known[name], name) for photo, name in zip(chosen, names, strict=True)]
            faceless += sum(where is not None for where in without)
            for preset in cases.presets:
                frames = [
                    Frame(_degraded(photo, preset, name, cases)) for photo, name in zip(chosen, names, strict=True)
                ]
                empty = [(frame, where) for frame, where in zip(frames, without, strict=True) if where is not None]
                refused[preset] += _refused(find, [frame.crop(where, size)[0] for frame, where in empty])
                seen = _seen(find, size, frames, chosen, detect, mtcnn)
                for method in methods:
                    found[preset, method] |= _figures(seen[method], names, known)
    if not asked:
        return AsUsed(face_set=face_set, note=note(unfit, len(measured)) or "evaluation.as_used = 0")
    people = dict(zip(measured.names, measured.faces.rows["identity"].tolist(), strict=True))
    return AsUsed(
        face_set=face_set,
        rows=tuple(
            _row(MetricKey(face_set, NME.name, preset), method, asked, values, scores, people)
            for (preset, method), values in found.items()
        ),
        note=note(unfit, len(measured)),
        beside=faceless,
        refused={preset: refused[preset] for preset in cases.presets},
    )


def _seen(
    find: Find, size: int, frames: list[Frame], chosen: list[Photograph], detect: Detect, mtcnn: Mtcnn
) -> dict[str, list[Points | None]]:
    """The points by method of the true face in each frame, None where it was not found."""
    in_use = [at_true(*pair) for pair in zip(detect.run(frames), chosen, strict=True)]
    by_mtcnn = [
        at_true(replace(frame, faces=tuple(faces_by_mtcnn(frame.image, mtcnn))), photo)
        for frame, photo in zip(frames, chosen, strict=True)
    ]
    return {
        MODEL: _points_of(measure_faces(in_use, size, _as_stage(find))),
        MTCNN: _points_of(measure_faces(by_mtcnn, size, _as_stage(find))),
        MEDIAPIPE: [_mediapipe(frame.faces) for frame in in_use],
    }


def _row(
    key: MetricKey, method: str, asked: int, values: Mapping[str, float], scores: Scores, people: Mapping[str, str]
) -> UsedFigure:
    about: dict[str, Any] = {"case": key.case, "method": method, "metric": key.metric, "faces": asked}
    if method == MEDIAPIPE:  # it finds others on frozen crops: the two means are not of the same faces
        about |= {"found": len(values), "used": float(np.mean(list(values.values()))) if values else None}
        return UsedFigure(**about, identities=len({people[name] for name in values}))
    before = dict(zip(scores.faces(key, MODEL), scores.values(key, MODEL).tolist(), strict=True))
    return UsedFigure(**about, **paired(before, values, people))


def _degraded(photo: Photograph, preset: str, name: str, cases: LandmarkCases) -> NDArray[np.uint8]:
    """The photograph, degraded as the frozen crop was."""
    drawn, rng = cases.degraded.degradation(preset, name), generator("degraded photograph", preset, name)
    return degrade_photograph(photo.image, drawn, rng, cases.square(name).side)


def _beside(photo: Photograph, known: Known, name: str) -> Square | None:
    """A crop of the photograph that shows no face, if there is room for one."""
    return beside(known.points, photo.image.shape[:2], generator("beside", name))


def _refused(find: Find, images: list[NDArray[np.uint8]]) -> int:
    """Of how many images the model says that they show no face."""
    if not images:
        return 0
    confidence = find(np.stack(images)).confidence
    assert confidence is not None
    return int((confidence.mean(axis=1) < LEAST).sum())


def _as_stage(find: Find) -> Callable[[NDArray[np.uint8]], Seen]:
    """What the chain of inference finds points with."""

    def seen(images: NDArray[np.uint8]) -> Seen:
        found = find(images)
        assert found.points is not None
        assert found.depth is not None
        assert found.confidence is not None
        return Seen(found.points, found.depth, found.confidence)

    return seen


def _points_of(frames: list[Frame]) -> list[Points | None]:
    return [frame.faces[0][POINTS3D] if frame.faces and POINTS3D in frame.faces[0] else None for frame in frames]


def _mediapipe(faces: tuple[Face, ...]) -> Points | None:
    """The points of a face that MediaPipe has found in the frame as it is, not in a part that was looked at closely."""
    return faces[0][LANDMARKS68] if faces and faces[0][FOUND_BY] == "MediaPipe" else None


def _figures(points: list[Points | None], names: list[str], known: Mapping[str, Known]) -> dict[str, float]:
    """The NME of each face that was found."""
    values = {}
    for name, found in zip(names, points, strict=True):
        if found is not None:
            truth = known[name].points[:, :2]
            values[name] = 100 * float(np.linalg.norm(found[:, :2] - truth, axis=1).mean()) / box_of(truth)[1]
    return values
