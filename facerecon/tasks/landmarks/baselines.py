"""Finding points without a network, or by another: what a model must beat."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.models.landmarks import POINTS
from facerecon.perception.landmarks import FaceLandmarker, sixty_eight
from facerecon.tasks.landmarks.evaluator import Floats, Found
from facerecon.weights import weights_path

MEAN, HOG, MEDIAPIPE = "mean_shape", "hog_ridge", "mediapipe"

ENLARGED = 4
"""So many times a crop is enlarged for MediaPipe, which does not see small faces."""

RIDGE = 1e-2
"""The weight of the ridge, as a share of the mean variance of the features."""


class MeanShape:
    """The mean points and the mean depth of training crops, whatever the image shows."""

    def __init__(self, points: Floats, depth: Floats) -> None:
        self.points, self.depth = points, depth

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        count = len(images)
        return Found(np.repeat(self.points[None], count, axis=0), np.repeat(self.depth[None], count, axis=0))


def descriptor(size: int) -> cv2.HOGDescriptor:
    """Histograms of oriented gradients (Dalal and Triggs, 2005) of crops of ``size`` pixels, in cells of 8 pixels."""
    return cv2.HOGDescriptor((size, size), (16, 16), (8, 8), (8, 8), 9)


class HogRidge:
    """Ridge regression of the points from histograms of oriented gradients, in closed form."""

    def __init__(self, images: NDArray[np.uint8], points: Floats) -> None:
        self._hog = descriptor(images.shape[1])
        features = self._features(images)
        self._mean, self._points = features.mean(axis=0), points.reshape(len(points), -1).mean(axis=0)
        centred = features - self._mean
        gram = centred.T @ centred
        weight = RIDGE * float(np.trace(gram)) / len(gram)
        right = centred.T @ (points.reshape(len(points), -1) - self._points)
        self._weights = np.linalg.solve(gram + weight * np.eye(len(gram)), right)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        found = (self._features(images) - self._mean) @ self._weights + self._points
        return Found(found.reshape(-1, POINTS, 3).astype(np.float32))

    def _features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.stack([np.ravel(self._hog.compute(np.ascontiguousarray(image))) for image in images]).astype(float)


class MediaPipe:
    """MediaPipe's FaceLandmarker on the crop, enlarged ENLARGED times; NaN where it finds no face. Close it."""

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker(weights_path("face_landmarker"), most=1)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        return Found(np.stack([self._points(image) for image in images]))

    def _points(self, image: NDArray[np.uint8]) -> Floats:
        side = ENLARGED * len(image)
        faces = self._landmarker.detect(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8))
        if not faces:
            return np.full((POINTS, 3), np.nan, np.float32)
        points = sixty_eight(faces[0][0]) / ENLARGED
        points[:, 2] = points[:, 2].mean() - points[:, 2]
        return points.astype(np.float32)

    def close(self) -> None:
        """Free its graph."""
        self._landmarker.close()
