"""What becomes of a reconstruction when the known pixels are damaged by one step, or attacked.

Brush masks of the middle level hide the faces; what is known comes from the damaged picture, and the true, clear face
is what the result is measured against. Nothing of what is hidden reaches a method, so an attack changes only what is
known.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.data.datasets import EvaluationFaces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.attack import Loss, attacked_faces, attacks, for_gradients, robustness_of
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.robustness import Robustness
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import Evaluator, Fill, MaskCase, as_tensor, measure, middle_case
from facerecon.tasks.inpainting.metrics import HOLE_PSNR
from facerecon.tasks.inpainting.network import network_of


def measure_robustness(
    trained: TrainedModel,
    methods: Mapping[str, Fill],
    faces: EvaluationFaces,
    cases: MaskCases,
    manifest: Manifest,
    judges: Judges,
    face_set: str,
) -> Robustness:
    """Hole PSNR, LPIPS and identity of ``methods`` against the true ``faces`` of ``face_set``, under every step.

    The first ATTACKED_FACES of the set are attacked, and what is found for the ``trained`` network is given to all.

    Raises:
        FaceReconError: the cases have no such pixels, or the model gives something that is not finite.
    """
    assert judges.identity is not None
    metrics = (HOLE_PSNR, judges.lpips, judges.identity)
    few = attacked_faces(manifest, faces, face_set)
    few_hidden = middle_case(few, cases.masks).masks
    attacked = attacks(_loss(trained, few, few_hidden), few.images, few.faces, few_hidden == 0)

    def measured(images: dict[str, NDArray[np.uint8]], of: EvaluationFaces) -> Scores:
        evaluator, masks = Evaluator(face_set, lambda case, method: metrics, judges, capped=True), cases.masks
        hidden = middle_case(of, masks).masks
        damaged = [MaskCase(case, -1, hidden, seen) for case, seen in images.items()]
        return measure(evaluator, methods, of, damaged, "measuring robustness")

    return robustness_of(cases.robustness, faces, attacked, few, measured, metrics, face_set)


def _loss(trained: TrainedModel, faces: EvaluationFaces, masks: NDArray[np.uint8]) -> Callable[[slice], Loss]:
    """The squared error in the holes of what the network makes of some images, against the true ``faces``."""
    network = for_gradients(lambda: network_of(trained))

    def loss_of(part: slice) -> Loss:
        truth, mask = from_uint8(faces.images[part]), as_tensor(masks[part])

        def error(images: Tensor) -> Tensor:
            wrong = network(images, mask).reconstruction - truth
            return torch.where(mask > 0.5, wrong, 0.0).square().flatten(1).sum(dim=1)

        return error

    return loss_of
