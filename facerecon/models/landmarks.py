"""The base class of the families that find landmarks and depth."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facerecon.models.base import pad_to_stride

POINTS = 68
"""Of the iBUG 300-W scheme."""

NEAR = 0.05
"""A point is near for the confidence if its error is at most this share of the square root of its face's box."""


class Landmarks(NamedTuple):
    """A model's output for images of H x W pixels.

    ``landmarks`` [N, 68, 3]: x and y in pixels ((0, 0) is the corner) and z, in pixels too, from the mean of the 68
    points' depths towards the camera. ``depth`` [N, 1, H, W]: z of each pixel of the face; elsewhere it means nothing.
    ``confidence_logits`` [N, 68]: the log-odds that a point is NEAR.
    """

    landmarks: Tensor
    depth: Tensor
    confidence_logits: Tensor

    @property
    def confidence(self) -> Tensor:
        """Probability [N, 68] that a point is NEAR."""
        return torch.sigmoid(self.confidence_logits)


class LandmarkModel(nn.Module):
    """Finds points and depth. Subclasses implement ``predict``.

    ``stride``: ``predict`` takes inputs whose height and width are multiples of it; ``forward`` takes any size.
    ``mean_shape`` [68, 3] is that of training crops in shares of their side: what one that looks at nothing would say.
    """

    stride: int = 1
    mean_shape: Tensor
    confidence_scale: Tensor
    confidence_shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(POINTS, 3))
        # temperature and bias of the log-odds: buffers, set by the calibration after training
        self.register_buffer("confidence_scale", torch.ones(()))
        self.register_buffer("confidence_shift", torch.zeros(()))

    @abstractmethod
    def predict(self, image: Tensor) -> Landmarks:
        """Points and depth in shares of the sides of ``image`` [N, 3, H, W]: x and z of its width, y of its height."""

    def load_pretrained(self) -> None:
        """As ``facerecon.models.restoration.RestorationModel.load_pretrained``."""

    def forward(self, image: Tensor) -> Landmarks:
        """The points and the depth in ``image`` [N, 3, H, W] in [-1, 1]."""
        height, width = image.shape[2:]
        padded = pad_to_stride(image, self.stride)
        found = self.predict(padded)
        x, y, z = found.landmarks.unbind(dim=2)
        points = torch.stack([x * padded.shape[3], y * padded.shape[2], z * padded.shape[3]], dim=2)
        depth = (found.depth * padded.shape[3])[..., :height, :width]
        logits = self.confidence_scale * found.confidence_logits + self.confidence_shift
        return Landmarks(points, depth, logits)
