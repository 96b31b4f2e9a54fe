"""Making a trained model's confidence mean what it says, on people it was not trained on."""

from dataclasses import replace

import numpy as np
import torch

from facerecon.evaluation.calibration import platt_scaling
from facerecon.models.trained import TrainedModel
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.evaluator import Measured, find_by_model, is_near
from facerecon.tasks.landmarks.network import network_of


def calibrated(trained: TrainedModel, measured: Measured, cases: LandmarkCases, device: torch.device) -> TrainedModel:
    """``trained`` with its confidence scaled to the validation faces under all conditions; its points stay the same."""
    find = find_by_model(network_of(trained).to(device), device)
    logits, right = [], []
    for preset in cases.presets:
        found = find(cases.images(preset, measured.names))
        assert found.confidence is not None
        sure = np.clip(found.confidence.astype(np.float64), 1e-7, 1 - 1e-7)
        logits.append(np.log(sure / (1 - sure)).ravel())
        right.append(is_near(found, measured).ravel().astype(np.float64))
    scale, shift = platt_scaling(np.concatenate(logits), np.concatenate(right))
    changed = {"confidence_scale": torch.tensor(scale), "confidence_shift": torch.tensor(shift)}
    return replace(trained, weights=trained.weights | changed)
