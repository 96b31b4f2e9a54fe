"""What becomes of a restoration when the input is damaged by one step, or attacked.

Under JPEG, H.264 and noise the network is given the clear face, damaged by that step alone, and undisturbed the clear
face itself: so it is told what the network makes of the step, and what it does to a face that needs nothing. The attack
and the noise beside it are on the face under the deciding degradation, as it would be given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.presets import CLEAN
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.attack import Loss, attacks
from facerecon.evaluation.image_metrics import CEILING, WHOLE_PSNR
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import (
    ATTACKED_FACES,
    ATTACKS,
    FROZEN_PRESETS,
    FROZEN_STEPS,
    Disturbed,
    Robustness,
    disturbed_rows,
)
from facerecon.models.trained import TrainedModel
from facerecon.tasks.restoration.baselines import by, unchanged
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.evaluator import measure, restore_by_model
from facerecon.tasks.restoration.gate_settings import INPUT
from facerecon.tasks.restoration.network import network_of

UNDISTURBED = "undisturbed"
"""The case of the faces that are attacked, before they are."""


@dataclass(frozen=True)
class _Made:
    """Images by case, made for the moment."""

    by_case: dict[str, NDArray[np.uint8]]

    def images(self, preset: str, faces: EvaluationFaces) -> NDArray[np.uint8]:
        return self.by_case[preset]


def measure_robustness(
    trained: TrainedModel,
    faces: EvaluationFaces,
    cases: DegradedCases,
    manifest: Manifest,
    judges: Judges,
    face_set: str,
) -> Robustness:
    """PSNR, LPIPS and identity against the true ``faces`` of ``face_set``, of model and input, under every step.

    The first ATTACKED_FACES of the set are attacked.

    Raises:
        FaceReconError: the cases have no such pixels, or the model gives something that is not finite.
    """
    if cases.robustness is None:
        raise FaceReconError(
            "evaluation.robustness is asked for, but its pixels are not frozen: run the pipeline again"
        )
    assert judges.identity is not None
    metrics = (WHOLE_PSNR.model_copy(update={"ceiling": CEILING}), judges.lpips, judges.identity)
    methods = {MODEL: restore_by_model(network_of(trained)), INPUT: by(unchanged, faces.images.shape[1])}
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    frozen = DegradedCases(cases.robustness, FROZEN_PRESETS)
    few = evaluation_faces(manifest, face_set, min(ATTACKED_FACES, len(faces)))
    given = cases.images(cases.presets[0], few)
    made = _Made({UNDISTURBED: given, **attacks(_loss(trained, few), given, few.faces)})
    rows: list[Disturbed] = []
    for seen, of, steps, undisturbed in (
        (frozen, faces, FROZEN_STEPS, CLEAN.name),
        (made, few, ATTACKS, UNDISTURBED),
    ):
        plan = dict.fromkeys((undisturbed, *(step.case for step in steps)), methods)
        scores = measure(face_set, plan, of, seen, metrics, judges, "measuring robustness")
        rows += disturbed_rows(scores, face_set, steps, undisturbed, metrics, people)
    return Robustness(pixels=cases.robustness.digest, rows=tuple(rows))


def _loss(trained: TrainedModel, faces: EvaluationFaces) -> Callable[[slice], Loss]:
    """The squared error of what the network makes of some images, against the true ``faces``."""
    with torch.inference_mode(mode=False):
        # of weights that were made in inference mode nothing can be differentiated
        network = network_of(trained).requires_grad_(False)

    def loss_of(part: slice) -> Loss:
        truth = from_uint8(faces.images[part])

        def error(images: Tensor) -> Tensor:
            restored: Tensor = network(images).restoration
            return (restored - truth).square().flatten(1).sum(dim=1)

        return error

    return loss_of
