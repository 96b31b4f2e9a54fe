"""Making a trained model's confidence mean what it says, on people it was not trained on."""

from dataclasses import replace

import numpy as np
import torch

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FAMILIES
from facerecon.data.datasets import EvaluationFaces
from facerecon.evaluation.calibration import platt_scaling
from facerecon.evaluation.metrics import from_uint8
from facerecon.models.base import confidence_target
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.network import network_of

PIXELS_PER_FACE = 4096
"""No more hole pixels of a face and mask are looked at: their neighbours say the same."""

BATCH = 16


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
