"""Restoration with a predictor, in pixels as people and files have them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import RESTORATION, normalise, to_uint8
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
    predictor.check(RESTORATION.task, images)
    outputs = predictor.predict({"image": normalise(images)})
    return Restored(to_uint8(outputs["restoration"]), outputs["confidence"][:, 0])
