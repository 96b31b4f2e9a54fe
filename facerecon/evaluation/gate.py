"""What promotion decides on: the figures of a model on the gate split, face by face, so that two models can be paired.

Hole PSNR is taken under every frozen mask, LPIPS and identity under brush masks, where their cost is bearable.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, to_uint8
from facerecon.evaluation.promotion import CEILING, PRIMARY, GateFigures, Measure, PromotionSettings
from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.progress import track
from facerecon.randomness import unit_interval

BATCH = 16


class Gate:
    """The gate's faces under their frozen masks, and the judges, which are loaded when the first model is measured."""

    def __init__(self, manifest: Manifest, masks: MaskSet, settings: PromotionSettings) -> None:
        """Raises FaceReconError if the gate split has no face."""
        self.faces: EvaluationFaces = evaluation_faces(manifest, "gate", settings.max_faces)
        if not len(self.faces):
            raise FaceReconError("the gate split has no face: give more people, or raise data.splits.gate")
        self.masks, self.settings = masks, settings

    @cached_property
    def _lpips(self) -> LPIPS:
        return LPIPS(self.settings.lpips_backbone)

    @cached_property
    def _identity(self) -> IdentityNetwork:
        return load_identity(self.settings.identity_network)

    @torch.inference_mode()
    def measure(self, trained: TrainedModel) -> GateFigures:
        """The figures of a model.

        Raises:
            FaceReconError: the weights fit no network of this code, or a judge cannot be had.
        """
        model = trained.build()
        parts: dict[Measure, list[Tensor]] = {}
        for start in track(range(0, len(self.faces), BATCH), "measuring at the gate"):
            for what, values in self._batch(model, slice(start, start + BATCH)).items():
                parts.setdefault(what, []).append(values)
        figures = {what: torch.cat(found).double().numpy() for what, found in parts.items()}
        return GateFigures(tuple(map(str, self.faces.rows["identity"])), figures)

    def _batch(self, model: ReconstructionModel, part: slice) -> dict[Measure, Tensor]:
        images, points = self.faces.images[part], self.faces.points5()[part]
        seen, truth = from_uint8(images), channels_first(images)
        features, people = self._lpips.features(seen), self._identity.embed(seen, points)
        figures = {}
        for level, family in sorted(self.masks.masks):
            mask = torch.from_numpy(self._holes(part, level, family)).float()[:, None]
            painted, whole = paint(model, seen, mask)
            measured = {"hole_psnr": hole_psnr(painted, truth, mask).clamp(max=CEILING)}
            if family == PRIMARY:
                shown = painted.float() / 127.5 - 1
                measured["lpips"] = self._lpips.distance(self._lpips.features(shown), features)
                measured["identity"] = (self._identity.embed(shown, points) * people).sum(dim=1)
            for metric, values in measured.items():
                figures[Measure(family, level, metric)] = values.where(whole, torch.nan)
        return figures

    def _holes(self, part: slice, level: int, family: str) -> NDArray[np.uint8]:
        return np.stack([self.masks.for_face(sha, level, family) for sha in self.faces.sha256s[part]])

    @torch.inference_mode()
    def compare(self, challenger: TrainedModel, champion: TrainedModel | None, most: int = 4) -> dict[str, Any]:
        """What both make of the first faces by hash under brush masks of every level in turn, for people to look at.

        ``level`` [M], ``original``, ``challenger`` and ``champion`` uint8 [M, H, W, 3], ``mask`` uint8 [M, H, W] (1 =
        hole), M at most ``most``; M is 0 without a champion.
        """
        shas = self.faces.sha256s
        by_hash = sorted(range(len(shas)), key=lambda index: unit_interval("show", shas[index]))
        chosen = [] if champion is None else by_hash[:most]
        levels = sorted(level for level, family in self.masks.masks if family == PRIMARY)
        level = [levels[position % len(levels)] for position in range(len(chosen))]
        original = self.faces.images[chosen]
        mask = np.zeros(original.shape[:3], np.uint8)
        for position, index in enumerate(chosen):
            mask[position] = self.masks.for_face(shas[index], level[position], PRIMARY)
        pictures = {"challenger": original, "champion": original}
        if champion is not None:
            holes = torch.from_numpy(mask).float()[:, None]
            for name, trained in (("challenger", challenger), ("champion", champion)):
                painted, _ = paint(trained.build(), from_uint8(original), holes)
                pictures[name] = painted.permute(0, 2, 3, 1).numpy()
        return {"level": np.array(level, dtype=np.int64), "original": original, "mask": mask, **pictures}


def paint(model: ReconstructionModel, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Composites uint8 [N, 3, H, W] of images [N, 3, H, W] in [-1, 1], and which of them are whole, bool [N].

    ``mask`` [N, 1, H, W], 1 = hole. A composite that is not finite everywhere is no image: it is grey, and not whole.
    """
    painted = model(images, mask).reconstruction
    whole = painted.isfinite().all(dim=3).all(dim=2).all(dim=1)
    return to_uint8(painted.where(whole[:, None, None, None], 0.0)), whole
