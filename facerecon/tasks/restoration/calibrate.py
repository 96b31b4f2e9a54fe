"""Making a trained model's confidence mean what it says, on people it was not trained on."""

from dataclasses import replace

import numpy as np
import torch

from facerecon.data.datasets import EvaluationFaces
from facerecon.evaluation.calibration import platt_scaling
from facerecon.evaluation.metrics import from_uint8
from facerecon.models.base import confidence_target
from facerecon.models.trained import TrainedModel
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.network import network_of

PIXELS_PER_FACE = 4096
"""No more pixels of a face and degradation are looked at: their neighbours say the same."""

BATCH = 16


@torch.inference_mode()
def calibrated(
    trained: TrainedModel, faces: EvaluationFaces, cases: DegradedCases, device: torch.device
) -> TrainedModel:
    """``trained`` with its confidence scaled to the validation faces; what it restores stays the same.

    Each face is seen under each degradation that is trained on: how well the confidence holds for others is for the
    evaluation to find out.
    """
    model = network_of(trained).to(device)
    logits, right = [], []
    for preset in cases.trained_presets:
        degraded = cases.images(preset, faces)
        for start in range(0, len(faces), BATCH):
            part = slice(start, start + BATCH)
            output = model(from_uint8(degraded[part]).to(device))
            if output.confidence_logits is None:
                return trained
            target = confidence_target(output.restoration, from_uint8(faces.images[part]).to(device))
            every = max(1, target[0].numel() // PIXELS_PER_FACE)
            logits.append(output.confidence_logits.flatten(1)[:, ::every].flatten().double().cpu().numpy())
            right.append(target.flatten(1)[:, ::every].flatten().double().cpu().numpy())
    scale, shift = platt_scaling(np.concatenate(logits), np.concatenate(right))
    changed = {"confidence_scale": torch.tensor(scale), "confidence_shift": torch.tensor(shift)}
    return replace(trained, weights=trained.weights | changed)
