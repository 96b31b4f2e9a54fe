"""What promotion of an inpainting model decides on, face by face, so that two models can be paired.

Hole PSNR is taken under every frozen mask, LPIPS and identity under brush masks, where their cost is bearable.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.promotion import GATE, GATE_NEW, GATE_OLD, MODEL
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.randomness import unit_interval
from facerecon.settings import Settings
from facerecon.tasks.base import Gate
from facerecon.tasks.inpainting.baselines import fill_by_baseline
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import Evaluator, fill_by_model, mask_cases, measure
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.metrics import MAIN_CASE
from facerecon.tasks.inpainting.network import network_of

COMPARED = 4
"""So many faces are shown as both models make them."""


class InpaintingGate(Gate):
    """The gate's faces under their frozen masks, and the judges, which are loaded when the first model is measured.

    Where the manifest has the face sets GATE_OLD and GATE_NEW these are measured in place of the split.
    """

    def __init__(self, manifest: Manifest, masks: MaskSet, settings: InpaintingPromotionSettings) -> None:
        """Raises FaceReconError if the gate has no face."""
        self._apart = {GATE_OLD, GATE_NEW} <= manifest.face_sets.keys()
        sets = (GATE_NEW, GATE_OLD) if self._apart else (GATE,)
        found = {name: evaluation_faces(manifest, name, settings.max_faces) for name in sets}
        self._faces: dict[str, EvaluationFaces] = {name: faces for name, faces in found.items() if len(faces)}
        if not self._faces:
            raise FaceReconError("the gate split has no face: give more people, or raise data.splits.gate")
        self._masks, self.rule, self.metrics = masks, settings.rule, settings.metrics
        self._judges = Judges(*self.metrics[1:])
        self.identities = {
            face: str(person)
            for faces in self._faces.values()
            for face, person in zip(faces.faces, faces.rows["identity"], strict=True)
        }

    @torch.inference_mode()
    def measure(self, trained: TrainedModel) -> Scores:
        """The figures of a model; no hole PSNR counts for more than its ceiling.

        Where old and new faces are apart, Telea's hole PSNR stands beside them: two cameras compare by the gain over
        it, not by hole PSNR itself.

        Raises:
            FaceReconError: the weights fit no network of this code, or a judge cannot be had.
        """
        fill, scores = fill_by_model(network_of(trained)), Scores()
        for name, faces in self._faces.items():
            evaluator = Evaluator(
                name,
                lambda case, method: self.metrics if case.case == MAIN_CASE else self.metrics[:1],
                self._judges,
                capped=True,
            )
            cases = mask_cases(faces, self._masks)
            scores |= measure(evaluator, {MODEL: fill}, faces, cases, "measuring at the gate")
        return scores | self._telea if self._apart else scores

    @cached_property
    def _telea(self) -> Scores:
        """Telea's hole PSNR of brush masks on each set: of all models the same."""
        scores = Scores()
        for name, faces in self._faces.items():
            evaluator = Evaluator(name, lambda case, method: self.metrics[:1], capped=True)
            cases = mask_cases(faces, self._masks, MAIN_CASE)
            scores |= measure(evaluator, {"telea": fill_by_baseline("telea")}, faces, cases, "measuring Telea")
        return scores

    @torch.inference_mode()
    def compare(self, challenger: TrainedModel, champion: TrainedModel | None) -> dict[str, NDArray[Any]]:
        """What both make of the first faces by hash under brush masks of every level in turn, for people to look at.

        ``level`` [M], ``original``, ``challenger`` and ``champion`` uint8 [M, H, W, 3], ``mask`` uint8 [M, H, W] (1 =
        hole), M at most COMPARED; M is 0 without a champion.
        """
        faces = next(iter(self._faces.values()))
        shas = faces.sha256s
        by_hash = sorted(range(len(shas)), key=lambda index: unit_interval("show", shas[index]))
        chosen = [] if champion is None else by_hash[:COMPARED]
        levels = sorted(level for level, family in self._masks.masks if family == MAIN_CASE)
        level = [levels[position % len(levels)] for position in range(len(chosen))]
        original = faces.images[chosen]
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
