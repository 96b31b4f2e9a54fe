"""Landmarks and depth with a predictor, in pixels as people and files have them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import LANDMARKS, normalise
from facerecon.inference.predictor import Predictor

Floats = NDArray[np.float32]


class Measured(NamedTuple):
    """``points`` float32 [N, 68, 3]: x and y in pixels of the images, (0, 0) being the corner, and z in these pixels
    towards the camera, from the mean of the points. ``depths`` [N, H, W]: z of each pixel of the face, meaningless
    elsewhere. ``confidences`` [N, 68] in [0, 1]: the probability that a point lies within 5 % of the square root of
    the area of the points' box."""

    points: Floats
    depths: Floats
    confidences: Floats


def measure(predictor: Predictor, images: NDArray[np.uint8]) -> Measured:
    """Find points and depth in RGB images uint8 [N, H, W, 3] of a face each, of any size.

    Raises:
        FaceReconError: the model is of another task, or the array is not such images.
    """
    predictor.check(LANDMARKS.task, images)
    outputs = predictor.predict({"image": normalise(images)})
    return Measured(outputs["landmarks"], outputs["depth"][:, 0], outputs["confidence"])
