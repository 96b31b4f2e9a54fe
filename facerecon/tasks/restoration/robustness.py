"""What becomes of a restoration when the input is damaged by one step, or attacked.

Under JPEG, H.264 and noise the network is given the clear face, damaged by that step alone, and undisturbed the clear
face itself: so it is told what the network makes of the step, and what it does to a face that needs nothing. The attack
and the noise beside it are on the face under the deciding degradation, as it would be given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facerecon.data.datasets import EvaluationFaces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.attack import Loss, attacked_faces, attacks, for_gradients, robustness_of
from facerecon.evaluation.image_metrics import CEILING, WHOLE_PSNR
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.robustness import Robustness
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.evaluator import Restore, measure
from facerecon.tasks.restoration.network import network_of


@dataclass(frozen=True)
class _Made:
    """Images by case, made for the moment."""

    by_case: dict[str, NDArray[np.uint8]]

    def images(self, preset: str, faces: EvaluationFaces) -> NDArray[np.uint8]:
        return self.by_case[preset]


def measure_robustness(
    trained: TrainedModel,
    methods: Mapping[str, Restore],
    faces: EvaluationFaces,
    cases: DegradedCases,
    manifest: Manifest,
    judges: Judges,
    face_set: str,
) -> Robustness:
    """PSNR, LPIPS and identity of ``methods`` against the true ``faces`` of ``face_set``, under every step.

    The first ATTACKED_FACES of the set are attacked, and what is found for the ``trained`` network is given to all.

    Raises:
        FaceReconError: the cases have no such pixels, or the model gives something that is not finite.
    """
    assert judges.identity is not None
    metrics = (WHOLE_PSNR.model_copy(update={"ceiling": CEILING}), judges.lpips, judges.identity)
    few = attacked_faces(manifest, faces, face_set)
    attacked = attacks(_loss(trained, few), cases.images(cases.presets[0], few), few.faces)

    def measured(images: dict[str, NDArray[np.uint8]], of: EvaluationFaces) -> Scores:
        plan = dict.fromkeys(images, methods)
        return measure(face_set, plan, of, _Made(images), metrics, judges, "measuring robustness")

    return robustness_of(cases.robustness, faces, attacked, few, measured, metrics, face_set)


def _loss(trained: TrainedModel, faces: EvaluationFaces) -> Callable[[slice], Loss]:
    """The squared error of what the network makes of some images, against the true ``faces``."""
    network = for_gradients(lambda: network_of(trained))

    def loss_of(part: slice) -> Loss:
        truth = from_uint8(faces.images[part])

        def error(images: Tensor) -> Tensor:
            restored: Tensor = network(images).restoration
            return (restored - truth).square().flatten(1).sum(dim=1)

        return error

    return loss_of
