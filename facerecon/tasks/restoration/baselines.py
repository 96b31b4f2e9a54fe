"""Restoring without a network: what a model must beat.

Each takes degraded images uint8 [N, h, w, 3], enlarges them bicubically to the size of the true faces where the task
enlarges, and returns images of that size.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.restoration import richardson_lucy
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.manifest import Manifest
from facerecon.evaluation.metrics import channels_first
from facerecon.inference.upscaler import Upscaler
from facerecon.randomness import generator, unit_interval
from facerecon.tasks.restoration.cases import DegradedCases, enlarged
from facerecon.tasks.restoration.evaluator import Restore, Restored

Images = NDArray[np.uint8]

UNSHARP_SIGMA, UNSHARP_AMOUNT = 1.0, 0.6
"""Of the blur that is taken away, and how much of it."""

DENOISE = 5
"""Strength of non-local means, as OpenCV counts it."""

FITTED_FACES, FITTED_SIDE, COMPONENTS, PENALTY = 1500, 64, 300, 1.0
"""Faces and side in pixels to which ridge regression is fitted at most, its components, and its penalty."""

ITERATIONS = 20
"""Of Richardson-Lucy deconvolution: more of them sharpen the rounding to whole gray levels."""


def by(images: Callable[[Images], Images], size: int) -> Restore:
    """A method that looks at each enlarged image alone."""

    def restore(case: str, names: tuple[str, ...], degraded: Images) -> Restored:
        made = channels_first(images(enlarged(degraded, size)))
        return Restored(made, torch.ones(len(made), dtype=torch.bool))

    return restore


def unchanged(images: Images) -> Images:
    """The images themselves."""
    return images


def unsharp(images: Images) -> Images:
    """Unsharp masking: what a Gaussian blur takes away is added."""
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), UNSHARP_SIGMA) for image in images]).astype(np.float32)
    return _bytes(images + UNSHARP_AMOUNT * (images - blurred))


def non_local_means(images: Images) -> Images:
    """Non-local means in CIELAB (Buades et al., 2005)."""
    return np.stack([cv2.fastNlMeansDenoisingColored(image, None, DENOISE, DENOISE, 5, 15) for image in images])


class RidgeRegression:
    """Ridge regression from the components of degraded faces to what they lack, fitted to training faces at once.

    It sees the degradations that are trained on, and works on faces of FITTED_SIDE at most: of larger ones what is
    lacking is enlarged.
    """

    def __init__(self, manifest: Manifest, settings: DegradationSettings, scale: int, seed: int = 0) -> None:
        names = sorted(manifest.split("train")["face"], key=lambda face: unit_interval("ridge", str(face)))[
            :FITTED_FACES
        ]
        crops = manifest.aligned_faces.crops(names, manifest.size)
        degrade = TrainingDegradations(settings, manifest.size, scale)
        pairs = zip(names, crops, strict=True)
        seen = np.stack([degrade(1.0, generator(seed, face, "ridge"), crop) for face, crop in pairs])
        self._side = min(FITTED_SIDE, manifest.size)
        inputs, truth = self._flat(enlarged(seen, manifest.size)), self._flat(crops)
        components = min(COMPONENTS, len(names))
        self._seen, self._lacking = PCA(components, random_state=seed), PCA(components, random_state=seed)
        given, wanted = self._seen.fit_transform(inputs), self._lacking.fit_transform(truth - inputs)
        self._ridge = Ridge(PENALTY * float(np.var(given[:, 0])) / 100).fit(given, wanted)

    def __call__(self, images: Images) -> Images:
        """Images uint8 [N, H, W, 3] with what they lack."""
        lacking = self._lacking.inverse_transform(self._ridge.predict(self._seen.transform(self._flat(images))))
        residual = lacking.reshape(len(images), self._side, self._side, 3).astype(np.float32)
        size = images.shape[1]
        if size != self._side:
            residual = np.stack([cv2.resize(each, (size, size), interpolation=cv2.INTER_CUBIC) for each in residual])
        return _bytes(images + residual)

    def _flat(self, images: Images) -> NDArray[np.float32]:
        if images.shape[1] != self._side:
            side = (self._side, self._side)
            images = np.stack([cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images])
        return images.reshape(len(images), -1).astype(np.float32)


def x4plus() -> Restore:
    """Real-ESRGAN x4plus, which knows no faces, for images that are to be four times as large."""
    upscaler = Upscaler(torch.get_num_threads())

    def restore(case: str, names: tuple[str, ...], degraded: Images) -> Restored:
        made = channels_first(upscaler.upscale(degraded))
        return Restored(made, torch.ones(len(made), dtype=torch.bool))

    return restore


def deconvolution(cases: DegradedCases, size: int) -> Restore:
    """Richardson-Lucy with the kernel that truly blurred each face: no method, but what one that knew it could do."""

    def restore(case: str, names: tuple[str, ...], degraded: Images) -> Restored:
        made = []
        for name, image in zip(names, enlarged(degraded, size), strict=True):
            kernel = cases.degraded.degradation(case, name).kernel
            margin = max(kernel.shape)
            wide = np.pad(image / 255, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
            channels = [richardson_lucy(wide[..., channel], kernel, ITERATIONS) for channel in range(3)]
            made.append(_bytes(np.stack(channels, axis=-1)[margin:-margin, margin:-margin] * 255))
        images = channels_first(np.stack(made))
        return Restored(images, torch.ones(len(images), dtype=torch.bool))

    return restore


def _bytes(values: NDArray[np.floating]) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
