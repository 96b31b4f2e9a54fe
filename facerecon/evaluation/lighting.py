"""Scores by the light that faces are in: each condition a face set of its own."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.lighting import LIGHTING, within
from facerecon.drawn import Lighting
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores

Wanted = Callable[[MetricKey, str], bool]
"""(key, method) -> whether these scores are to be told by condition."""


def luma_set(face_set: str, condition: str) -> str:
    """The faces of a set that are as bright as a condition of ``LIGHTING``: ``test_dark``."""
    return f"{face_set}_{condition}"


def light_set(face_set: str, light: str) -> str:
    """The faces of a set that were drawn in a light: ``test_light_side``."""
    return f"{face_set}_light_{light}"


def scores_by_luma(
    face_set: str, scores: Scores, faces: Sequence[str], images: NDArray[np.uint8], wanted: Wanted
) -> Scores:
    """The ``wanted`` scores of ``faces``, whose ``images`` are uint8 RGB [N, H, W, 3], by mean luma; dark first."""
    luma = np.array([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() for image in images])
    found = Scores()
    for condition, low, high in LIGHTING:
        chosen = {face for face, lit in zip(faces, within(luma, low, high), strict=True) if lit}
        found |= _of(luma_set(face_set, condition), face_set, scores, chosen, wanted)
    return found


def scores_by_light(
    face_set: str, scores: Scores, faces: Sequence[str], lights: Sequence[str] | None, wanted: Wanted
) -> Scores:
    """The ``wanted`` scores of ``faces`` by their ``lights``, as ``light_of`` gives them, in the order of ``Lighting``.

    Faces whose light nobody knows are in none; None gives no scores.
    """
    found = Scores()
    for name in Lighting if lights else ():
        chosen = {face for face, light in zip(faces, lights or (), strict=True) if light == name}
        found |= _of(light_set(face_set, name), face_set, scores, chosen, wanted)
    return found


def _of(name: str, face_set: str, scores: Scores, faces: set[str], wanted: Wanted) -> Scores:
    """The wanted scores of some ``faces`` of a set, as those of the set ``name``."""
    found = Scores()
    for key, method in scores:
        if key.face_set != face_set or not wanted(key, method):
            continue
        pairs = zip(scores.faces(key, method), scores.values(key, method), strict=True)
        chosen = [(face, value) for face, value in pairs if face in faces]
        if chosen:
            found.add(MetricKey(name, key.metric, key.case, key.level), method, *zip(*chosen, strict=True))
    return found
