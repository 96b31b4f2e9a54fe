"""What promotion of an inpainting model decides on, face by face, so that two models can be paired.

Hole PSNR is taken under every frozen mask, LPIPS and identity under brush masks, where their cost is bearable.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import GATE, MODEL
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.randomness import unit_interval
from facerecon.settings import Settings
from facerecon.tasks.base import Gate
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import Evaluator, Judges, fill_by_model, mask_cases, measure
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.metrics import MAIN_CASE
from facerecon.tasks.inpainting.network import network_of

COMPARED = 4
"""So many faces are shown as both models make them."""


class InpaintingGate(Gate):
    """The gate's faces under their frozen masks, and the judges, which are loaded when the first model is measured."""

    def __init__(self, manifest: Manifest, masks: MaskSet, settings: InpaintingPromotionSettings) -> None:
        """Raises FaceReconError if the gate split has no face."""
        self._faces: EvaluationFaces = evaluation_faces(manifest, GATE, settings.max_faces)
        if not len(self._faces):
            raise FaceReconError("the gate split has no face: give more people, or raise data.splits.gate")
        self._masks, self.rule, self.metrics = masks, settings.rule, settings.metrics
        self._judges = Judges(*self.metrics[1:])
        self.identities = dict(zip(self._faces.faces, map(str, self._faces.rows["identity"]), strict=True))

    @torch.inference_mode()
    def measure(self, trained: TrainedModel) -> Scores:
        """The figures of a model; no hole PSNR counts for more than its ceiling.

        Raises:
            FaceReconError: the weights fit no network of this code, or a judge cannot be had.
        """
        evaluator = Evaluator(
            GATE,
            lambda case, method: self.metrics if case.case == MAIN_CASE else self.metrics[:1],
            self._judges,
            capped=True,
        )
        methods = {MODEL: fill_by_model(network_of(trained))}
        return measure(evaluator, methods, self._faces, mask_cases(self._faces, self._masks), "measuring at the gate")

    @torch.inference_mode()
    def compare(self, challenger: TrainedModel, champion: TrainedModel | None) -> dict[str, NDArray[Any]]:
        """What both make of the first faces by hash under brush masks of every level in turn, for people to look at.

        ``level`` [M], ``original``, ``challenger`` and ``champion`` uint8 [M, H, W, 3], ``mask`` uint8 [M, H, W] (1 =
        hole), M at most COMPARED; M is 0 without a champion.
        """
        shas = self._faces.sha256s
        by_hash = sorted(range(len(shas)), key=lambda index: unit_interval("show", shas[index]))
        chosen = [] if champion is None else by_hash[:COMPARED]
        levels = sorted(level for level, family in self._masks.masks if family == MAIN_CASE)
        level = [levels[position % len(levels)] for position in range(len(chosen))]
        original = self._faces.images[chosen]
        mask = np.zeros(original.shape[:3], np.uint8)
        for position, index in enumerate(chosen):
            mask[position] = self._masks.for_face(shas[index], level[position], MAIN_CASE)
        pictures = {"challenger": original, "champion": original}
        if champion is not None:
            for name, trained in (("challenger", challenger), ("champion", champion)):
                pictures[name] = fill_by_model(network_of(trained))(original, mask).images.permute(0, 2, 3, 1).numpy()
        return {"level": np.array(level, dtype=np.int64), "original": original, "mask": mask, **pictures}


class GatePart(Settings):
    """What the gate needs."""

    promotion: InpaintingPromotionSettings


def gate(settings: GatePart, faces: Manifest, cases: MaskCases) -> InpaintingGate:
    """The gate; FaceReconError if its split has no face."""
    return InpaintingGate(faces, cases.masks, settings.promotion)
