"""Making a trained model's confidence mean what it says, on people it was not trained on."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FAMILIES
from facerecon.data.datasets import EvaluationFaces
from facerecon.evaluation.metrics import from_uint8
from facerecon.models.base import confidence_target
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.network import network_of

PIXELS_PER_FACE = 4096
"""No more hole pixels of a face and mask are looked at: their neighbours say the same."""

BATCH = 16


def platt_scaling(logits: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shift of log-odds [N] under which outcomes ``right`` [N] (1 or 0) are most likely.

    Platt, "Probabilistic outputs for support vector machines", 1999. A negative scale would turn the ranking round: the
    log-odds are shifted only, then. Without outcomes of both kinds there is nothing to learn: (1, 0).
    """
    if not 0 < right.mean() < 1:
        return 1.0, 0.0

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        *scale, shift = parameters
        scaled = (scale[0] if scale else 1.0) * logits + shift
        wrong = expit(scaled) - right
        likelihood = right * log_expit(scaled) + (1 - right) * log_expit(-scaled)
        slope = [(wrong * logits).mean()] if scale else []
        return -float(likelihood.mean()), np.array([*slope, wrong.mean()])

    scale, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    if scale <= 0:
        (shift,), scale = minimize(loss, np.array([0.0]), jac=True, method="BFGS").x, 1.0
    return float(scale), float(shift)


@torch.inference_mode()
def calibrated(trained: TrainedModel, faces: EvaluationFaces, masks: MaskSet, device: torch.device) -> TrainedModel:
    """``trained`` with its confidence scaled to the validation faces; what it paints stays the same.

    Each face is seen under a mask of each level, families in turn. Families that are never trained on are left out:
    how well the confidence holds for them is for the evaluation to find out.
    """
    model = network_of(trained).to(device)
    families = sorted({family for _, family in masks.masks if FAMILIES[family].trained})
    levels = sorted({level for level, _ in masks.masks})
    logits, right = [], []
    for start in range(0, len(faces), BATCH):
        part = slice(start, start + BATCH)
        image = from_uint8(faces.images[part]).to(device)
        for level in levels:
            drawn = [
                masks.for_face(sha, level, families[(start + index + level) % len(families)])
                for index, sha in enumerate(faces.sha256s[part])
            ]
            mask = torch.from_numpy(np.stack(drawn))[:, None].to(device).float()
            output = model(image, mask)
            if output.confidence_logits is None:
                return trained
            target = confidence_target(output.reconstruction, image)
            for said, was, hole in zip(output.confidence_logits, target, mask > 0.5, strict=True):
                every = max(1, int(hole.sum()) // PIXELS_PER_FACE)
                logits.append(said[hole][::every].double().cpu().numpy())
                right.append(was[hole][::every].double().cpu().numpy())
    scale, shift = platt_scaling(np.concatenate(logits), np.concatenate(right))
    changed = {"confidence_scale": torch.tensor(scale), "confidence_shift": torch.tensor(shift)}
    return replace(trained, weights=trained.weights | changed)
