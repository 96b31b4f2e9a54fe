"""What the fill that is fitted in closed form gains on new faces by being fitted anew, without a step of training."""

import copy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, to_uint8
from facerecon.evaluation.probe import Probe
from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.dataset import unchanged_faces
from facerecon.tasks.inpainting.evaluator import as_tensor, mask_cases
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE
from facerecon.tasks.inpainting.network import network_of
from facerecon.tasks.inpainting.training import FITTED_FACES, VAL

_BATCH = 64


class ProbePart(Settings):
    """What the probe needs: the rule of the gate, for its intervals."""

    promotion: InpaintingPromotionSettings


@torch.inference_mode()
def probe(settings: ProbePart, champion: TrainedModel, faces: Manifest, cases: MaskCases, source: str) -> Probe | None:
    """The gain in hole PSNR under brush masks, mean over the levels, on val people of ``source``.

    The champion's fill is fitted anew to all training faces, old and new. None if its family fits nothing.
    Nobody on val was ever in a fit.
    """
    model = network_of(champion)
    val = evaluation_faces(_of_source(faces, source), VAL, settings.promotion.max_faces)
    if not model.fits:
        return None
    rule = settings.promotion
    about = {"metric": HOLE_PSNR.label, "unit": HOLE_PSNR.unit, "faces": len(val), "confidence": rule.confidence}
    if not len(val):
        return Probe(mean=None, low=None, high=None, people=0, **about)
    refitted = copy.deepcopy(model)
    refitted.fit(unchanged_faces(faces.split("train")["face"].tolist(), faces.aligned_faces, FITTED_FACES))
    gains = _hole_psnr(refitted, val, cases) - _hole_psnr(model, val, cases)
    found = paired_interval(gains, val.rows["identity"].to_numpy(), rule.resamples, rule.confidence, rule.seed)
    return Probe(mean=found.mean, low=found.low, high=found.high, people=found.identities, **about)


def _of_source(faces: Manifest, source: str) -> Manifest:
    return replace(faces, faces=faces.faces[faces.faces["source"] == source].reset_index(drop=True))


def _hole_psnr(model: ReconstructionModel, faces: EvaluationFaces, cases: MaskCases) -> NDArray[np.float64]:
    """Of each face the mean over the levels [N]."""
    levels = []
    for case in mask_cases(faces, cases.masks, MAIN_CASE):
        found = []
        for start in range(0, len(faces), _BATCH):
            images, masks = faces.images[start : start + _BATCH], as_tensor(case.masks[start : start + _BATCH])
            filled = to_uint8(model.first_guess(from_uint8(images), masks))
            found.append(hole_psnr(filled, channels_first(images), masks).clamp(max=CEILING).numpy())
        levels.append(np.concatenate(found))
    mean: NDArray[np.float64] = np.mean(levels, axis=0)
    return mean
