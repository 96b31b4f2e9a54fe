"""Restoration with a predictor, in pixels as people and files have them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import RESTORATION, normalise, to_uint8
from facerecon.errors import FaceReconError
from facerecon.inference.predictor import Predictor


class Restored(NamedTuple):
    """``images`` uint8 [N, sH, sW, 3], s the model's scale; ``confidences`` float32 [N, sH, sW] in [0, 1]."""

    images: NDArray[np.uint8]
    confidences: NDArray[np.float32]


def restore(predictor: Predictor, images: NDArray[np.uint8]) -> Restored:
    """Restore degraded RGB images uint8 [N, H, W, 3] of any size.

    Raises:
        FaceReconError: the model is of another task, or the array is not such images.
    """
    if predictor.about.task != RESTORATION.task:
        raise FaceReconError(f"a model of task '{predictor.about.task}'; expected one of task '{RESTORATION.task}'")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise FaceReconError(f"images: {images.dtype} {list(images.shape)}; expected uint8 [N, H, W, 3], RGB")
    outputs = predictor.predict({"image": normalise(images)})
    return Restored(to_uint8(outputs["restoration"]), outputs["confidence"][:, 0])
