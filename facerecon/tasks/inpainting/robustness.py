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

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.attack import Loss, attacks
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.robustness import (
    ATTACKED_FACES,
    ATTACKS,
    FROZEN_STEPS,
    Disturbed,
    Robustness,
    disturbed_rows,
    frozen_images,
)
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
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    few = evaluation_faces(manifest, face_set, min(ATTACKED_FACES, len(faces)))
    hidden, few_hidden = (middle_case(of, cases.masks).masks for of in (faces, few))
    frozen = frozen_images(cases.robustness, faces.faces)
    attacked = attacks(_loss(trained, few, few_hidden), few.images, few.faces, few_hidden == 0)
    rows: list[Disturbed] = []
    for images, of, masks, steps in (
        (frozen, faces, hidden, FROZEN_STEPS),
        (attacked, few, few_hidden, ATTACKS),
    ):
        evaluator = Evaluator(face_set, lambda case, method: metrics, judges, capped=True)
        damaged = [MaskCase(case, -1, masks, seen) for case, seen in images.items()]
        scores = measure(evaluator, methods, of, damaged, "measuring robustness")
        rows += disturbed_rows(scores, face_set, steps, metrics, people)
    assert cases.robustness is not None
    return Robustness(pixels=cases.robustness.digest, rows=tuple(rows))


def _loss(trained: TrainedModel, faces: EvaluationFaces, masks: NDArray[np.uint8]) -> Callable[[slice], Loss]:
    """The squared error in the holes of what the network makes of some images, against the true ``faces``."""
    with torch.inference_mode(mode=False):
        # of weights that were made in inference mode nothing can be differentiated
        network = network_of(trained).requires_grad_(False)

    def loss_of(part: slice) -> Loss:
        truth, mask = from_uint8(faces.images[part]), as_tensor(masks[part])

        def error(images: Tensor) -> Tensor:
            wrong = network(images, mask).reconstruction - truth
            return torch.where(mask > 0.5, wrong, 0.0).square().flatten(1).sum(dim=1)

        return error

    return loss_of
