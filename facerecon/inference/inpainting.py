"""Inpainting with a predictor, in pixels as people and files have them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import INPAINTING, normalise, to_uint8
from facerecon.errors import FaceReconError
from facerecon.inference.predictor import Predictor


class Inpainted(NamedTuple):
    """``images`` uint8 [N, H, W, 3] are composites; ``confidences`` float32 [N, H, W] in [0, 1] are 1 outside holes."""

    images: NDArray[np.uint8]
    confidences: NDArray[np.float32]


def inpaint(predictor: Predictor, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Inpainted:
    """Fill the holes of RGB images uint8 [N, H, W, 3] of any size, ``masks`` uint8 [N, H, W] (1 = hole, 0 = known).

    Known pixels come back as they are; what stands in a hole changes nothing.

    Raises:
        FaceReconError: the model is of another task, or the arrays are not such images and masks.
    """
    predictor.check(INPAINTING.task, images)
    if masks.dtype != np.uint8 or masks.shape != images.shape[:3]:
        raise FaceReconError(f"masks: {masks.dtype} {list(masks.shape)}; expected uint8 {list(images.shape[:3])}")
    if masks.max(initial=0) > 1:
        raise FaceReconError(f"masks hold {masks.max()}; expected 0 (known) or 1 (hole): of a picture take mask > 127")
    outputs = predictor.predict({"image": normalise(images), "mask": masks[:, None].astype(np.float32)})
    filled = np.where(masks[..., None] == 1, to_uint8(outputs["reconstruction"]), images)
    return Inpainted(filled, outputs["confidence"][:, 0])
