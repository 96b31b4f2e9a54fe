"""Finding points and depth without a network, or by another: what a model must beat."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from facerecon.models.landmarks import POINTS
from facerecon.perception.landmarks import SIXTY_EIGHT, FaceLandmarker, Points, towards_camera
from facerecon.perception.warp import similarity
from facerecon.synthetic.mesh import FACE_POINTS
from facerecon.synthetic.surface import mesh_surface
from facerecon.tasks.landmarks.dataset import Samples
from facerecon.tasks.landmarks.evaluator import Find, Floats, Found
from facerecon.weights import weights_path

MEAN, HOG, PLACED = "mean_shape", "hog_ridge", "placed_mean_depth"

ENLARGED = 4
"""So many times a crop is enlarged for MediaPipe, which does not see small faces."""

CELLS = (8, 16)
"""Sides of the cells of the histograms in pixels."""

RIDGE = 0.1
"""The weight of the ridge, as a share of the mean variance of the features over all samples; chosen on val."""


class MeanShape:
    """The mean points and the mean depth of training crops, whatever the image shows."""

    def __init__(self, samples: Samples) -> None:
        self.points, known = samples.points.mean(axis=0), samples.inside.sum(axis=0)
        self.depth = ((samples.depth * samples.inside).sum(axis=0) / np.maximum(known, 1)).astype(np.float32)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        count = len(images)
        return Found(np.repeat(self.points[None], count, axis=0), np.repeat(self.depth[None], count, axis=0))


class HogRidge:
    """Ridge regression of the points from histograms of oriented gradients (Dalal and Triggs, 2005), in closed form."""

    def __init__(self, samples: Samples) -> None:
        features, points = self._features(samples.images), samples.points.reshape(len(samples.points), -1)
        self._mean, self._points = features.mean(axis=0), points.mean(axis=0)
        centred = features - self._mean
        gram = centred.T @ centred
        weight = RIDGE * float(np.trace(gram)) / len(gram)
        self._weights = np.linalg.solve(gram + weight * np.eye(len(gram)), centred.T @ (points - self._points))

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        found = (self._features(images) - self._mean) @ self._weights + self._points
        return Found(found.reshape(-1, POINTS, 3).astype(np.float32))

    def _features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        size = images.shape[1]
        hogs = [cv2.HOGDescriptor((size, size), (2 * cell, 2 * cell), (cell, cell), (cell, cell), 9) for cell in CELLS]
        rows = ([np.ravel(hog.compute(np.ascontiguousarray(image))) for hog in hogs] for image in images)
        return np.stack([np.concatenate(row) for row in rows]).astype(np.float64)


class PlacedMeanDepth:
    """The mean depth of training faces, brought by a similarity to where ``find`` sees the points."""

    def __init__(self, samples: Samples, find: Find) -> None:
        self._find, self._shape = find, samples.points[..., :2].mean(axis=0)
        size = samples.images.shape[1]
        total, count = np.zeros((size, size)), np.zeros((size, size))
        for points, depth, inside in zip(samples.points, samples.depth, samples.inside, strict=True):
            if inside.any():
                to_mean = _similarity(points, self._shape)
                known = _warped(inside.astype(np.float32), to_mean) > 0.999
                total += np.where(known, _warped(depth, to_mean) * _scale(to_mean), 0)
                count += known
        self._depth = (total / np.maximum(count, 1)).astype(np.float32)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        placed, found = [], self._find(images).points
        assert found is not None
        for points in found:
            to_face = _similarity(self._shape, points)
            placed.append(_warped(self._depth, to_face) * _scale(to_face))
        return Found(None, np.stack(placed).astype(np.float32))


def _similarity(points: Points, target: Points) -> NDArray[np.float64]:
    """The map [2, 3] that brings points [68, >=2] closest to others, both from the corner of their images."""
    found = similarity(torch.from_numpy(np.array(points[None, :, :2])), torch.from_numpy(np.array(target[:, :2])))
    return found[0].double().numpy()


def _scale(by: NDArray[np.float64]) -> float:
    return float(np.hypot(by[0, 0], by[1, 0]))


def _warped(plane: Floats, by: NDArray[np.float64]) -> Floats:
    """A map [S, S] moved by a similarity of places from the corner; cv2 counts from the middle of the first pixel."""
    moved = by.copy()
    moved[:, 2] += by[:, :2] @ [0.5, 0.5] - 0.5
    size = (plane.shape[1], plane.shape[0])
    found = cv2.warpAffine(plane, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(found, np.float32)


class MediaPipe:
    """MediaPipe's FaceLandmarker on the crop, enlarged ENLARGED times; NaN where it finds no face. Close it.

    Depth is that of its mesh's surface, where it is seen; beside it that of the closest place on it.
    """

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker(weights_path("face_landmarker"), most=1)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        meshes, depths = zip(*(self._found(image) for image in images), strict=True)
        mesh = np.stack(meshes)
        return Found(mesh[:, list(SIXTY_EIGHT)], np.stack(depths), mesh=mesh)

    def _found(self, image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Mesh [468, 3] and depth [S, S]."""
        size = len(image)
        shown = cv2.resize(image, (ENLARGED * size, ENLARGED * size), interpolation=cv2.INTER_CUBIC)
        faces = self._landmarker.detect(shown.astype(np.uint8))
        if not faces:
            return np.full((FACE_POINTS, 3), np.nan, np.float32), np.full((size, size), np.nan, np.float32)
        whole = towards_camera((faces[0][0] / ENLARGED).astype(np.float32))
        depth = mesh_surface(whole, size)
        row, column = distance_transform_edt(np.isnan(depth), return_distances=False, return_indices=True)
        return whole[:FACE_POINTS], depth[row, column]

    def close(self) -> None:
        """Free its graph."""
        self._landmarker.close()
