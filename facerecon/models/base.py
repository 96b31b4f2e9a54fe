"""The base class of all model families."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RIGHT = 16
"""Largest error of a pixel (mean over RGB, of 255) that the confidence counts as right."""

CONFIDENT_ERROR = 2 * RIGHT / 255
"""RIGHT for images in [-1, 1]."""


class Reconstruction(NamedTuple):
    """A model's output.

    ``reconstruction`` [N, 3, H, W] in [-1, 1] is the composite: the prediction inside holes, the image outside.
    ``confidence_logits`` [N, 1, H, W] are the log-odds that a hole pixel's error is at most RIGHT (meaningless outside
    holes); None without a confidence head. ``prediction`` [N, 3, H, W] in [-1, 1] covers all pixels.
    """

    reconstruction: Tensor
    confidence_logits: Tensor | None
    prediction: Tensor

    def confidence(self, mask: Tensor) -> Tensor:
        """Probability [N, 1, H, W] that the error is at most RIGHT; 1 outside holes (mask 1 = hole)."""
        if self.confidence_logits is None:
            return torch.ones_like(mask)
        return torch.where(mask > 0.5, torch.sigmoid(self.confidence_logits), torch.ones_like(mask))


class ReconstructionModel(nn.Module):
    """Fills holes. Subclasses implement ``predict``; hiding what lies under the mask, padding and compositing are here.

    ``stride``: ``predict`` takes inputs whose height and width are multiples of it; ``forward`` takes any size.
    """

    stride: int = 1
    confidence_scale: Tensor
    confidence_shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        # temperature and bias of the log-odds: buffers, set by the calibration after training
        self.register_buffer("confidence_scale", torch.ones(()))
        self.register_buffer("confidence_shift", torch.zeros(()))

    @abstractmethod
    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Prediction [N, 3, H, W] in [-1, 1] and confidence logits [N, 1, H, W] or None.

        ``inputs`` [N, 4, H, W] are the output of ``prepare_input``, padded to the stride.
        """

    def prepare_input(self, inputs: Tensor) -> Tensor:
        """The network's input [N, 4, H, W] from images with holes set to 0, and masks, before padding.

        A family that fills the holes with a first guess overrides this. Known pixels and masks must not change.
        """
        return inputs

    def fit(self, faces: Iterable[Tensor]) -> None:
        """Fit what is computed in closed form to training faces, batches [N, 3, H, W] in [-1, 1].

        Called once, before the first training step. The default does nothing.
        """

    def first_guess(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the network starts from, [N, 3, H, W] in [-1, 1]: ``image`` with its holes as ``prepare_input`` fills
        them; ``mask`` [N, 1, H, W] is 1 in holes."""
        return self.prepare_input(_masked(image, mask))[:, :3]

    @property
    def fits(self) -> bool:
        """Whether ``fit`` fits anything: then ``prepare_input`` fills holes by it in evaluation mode."""
        return False

    def set_progress(self, progress: float) -> None:
        """Called before each training step with the share of the training's work that is done, in [0, 1).

        For a family whose training changes on the way; the default does nothing. The state must follow from
        ``progress`` alone: a resumed training starts anywhere.
        """

    def attention_maps(self, inputs: Tensor) -> dict[str, Tensor]:
        """As ``attention``, from the inputs of ``predict``. The default has none."""
        return {}

    def forward(self, image: Tensor, mask: Tensor) -> Reconstruction:
        """Reconstruct ``image`` [N, 3, H, W] in [-1, 1] where ``mask`` [N, 1, H, W] is 1 (hole; 0 = known).

        Pixels under the mask are removed by ``where`` and cannot reach the network, not even NaN.
        """
        height, width = image.shape[2:]
        prediction, logits = self.predict(pad_to_stride(self.prepare_input(_masked(image, mask)), self.stride))
        prediction = prediction[..., :height, :width]
        if logits is not None:
            logits = logits[..., :height, :width]
            logits = self.confidence_scale * logits + self.confidence_shift
        return Reconstruction(torch.where(mask > 0.5, prediction, image), logits, prediction)

    def attention(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Attention maps [N, 1, H, W] in [0, 1] of a reconstruction (see ``forward``), coarse to fine.

        Keys are the maps' scales before upsampling, "1/16" to "1/1"; a family without attention has none.
        """
        height, width = image.shape[2:]
        maps = self.attention_maps(pad_to_stride(self.prepare_input(_masked(image, mask)), self.stride))
        return {name: weights[..., :height, :width] for name, weights in maps.items()}


def pad_to_stride(inputs: Tensor, stride: int) -> Tensor:
    """Images [N, C, H, W] with the last column and row repeated up to the next multiple of ``stride``."""
    height, width = inputs.shape[2:]
    # written so that the exporter can prove that every level of a network halves evenly
    below = (height + stride - 1) // stride * stride - height
    right = (width + stride - 1) // stride * stride - width
    return F.pad(inputs, (0, right, 0, below), mode="replicate")


def _masked(image: Tensor, mask: Tensor) -> Tensor:
    """The image with its holes set to 0, and the mask: [N, 4, H, W]."""
    hole = mask > 0.5
    return torch.cat((torch.where(hole, torch.zeros_like(image), image), hole.to(image.dtype)), dim=1)


def confidence_target(reconstruction: Tensor, target: Tensor) -> Tensor:
    """1 where the error [N, 1, H, W] (mean over RGB) is at most 16/255 of the range, else 0; no gradient."""
    error = (reconstruction.detach() - target).abs().mean(dim=1, keepdim=True)
    return (error <= CONFIDENT_ERROR).to(target.dtype)
