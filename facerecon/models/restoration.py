"""The base class of the families that restore degraded images."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facerecon.models.base import pad_to_stride
from facerecon.models.layers.enlargement import BicubicEnlargement


class Restoration(NamedTuple):
    """A model's output: ``restoration`` [N, 3, sH, sW], ``confidence_logits`` [N, 1, sH, sW] or None.

    In evaluation mode the restoration lies in [-1, 1]; in training what lies beyond is left, so that it has a gradient.
    The logits are the log-odds that a pixel's error is at most ``facerecon.models.base.RIGHT``.
    """

    restoration: Tensor
    confidence_logits: Tensor | None

    @property
    def confidence(self) -> Tensor:
        """Probability [N, 1, sH, sW] that the error is at most RIGHT; without a confidence head 1 everywhere."""
        if self.confidence_logits is None:
            return torch.ones_like(self.restoration[:, :1])
        return torch.sigmoid(self.confidence_logits)


class RestorationModel(nn.Module):
    """Restores images, ``scale`` times as high and as wide. Subclasses implement ``predict``.

    ``stride``: ``predict`` takes inputs whose height and width are multiples of it; ``forward`` takes any size.
    """

    stride: int = 1
    confidence_scale: Tensor
    confidence_shift: Tensor

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.enlarge = nn.Identity() if scale == 1 else BicubicEnlargement(scale)
        # temperature and bias of the log-odds: buffers, set by the calibration after training
        self.register_buffer("confidence_scale", torch.ones(()))
        self.register_buffer("confidence_shift", torch.zeros(()))

    @abstractmethod
    def predict(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """The residual [N, 3, sH, sW] to the enlarged image, and confidence logits [N, 1, sH, sW] or None.

        ``image`` [N, 3, H, W] is padded to the stride.
        """

    def load_pretrained(self) -> None:
        """Set the weights that the options' ``pretrained_weights`` name: called once, before a new training.

        Not for a model whose own weights follow: they need no network connection. The default does nothing.
        """

    def forward(self, image: Tensor) -> Restoration:
        """Restore ``image`` [N, 3, H, W] in [-1, 1]: the network's residual is added to it, enlarged bicubically."""
        height, width = image.shape[2] * self.scale, image.shape[3] * self.scale
        residual, logits = self.predict(pad_to_stride(image, self.stride))
        restoration = self.enlarge(image) + residual[..., :height, :width]
        if logits is not None:
            logits = self.confidence_scale * logits[..., :height, :width] + self.confidence_shift
        return Restoration(restoration if self.training else restoration.clamp(-1, 1), logits)
