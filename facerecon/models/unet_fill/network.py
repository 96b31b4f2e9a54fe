"""A U-Net that improves on a first fill.

The network learns a residual to a first fill of the holes, by default the posterior mean of an aligned face
(``face_prior``). In training the prior replaces a smooth fill late: with the prior from the first step, the network
learns little. For speed, ``fold`` folds pixels into channels (pixel unshuffle, Shi et al., 2016) in the first
convolution: then no layer runs at full size, where a U-Net spends most of its time on its fewest channels.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.models.base import ReconstructionModel
from facerecon.models.layers.blocks import double_convolution, encode
from facerecon.models.layers.confidence import ConfidenceHead
from facerecon.models.layers.face_prior import FacePrior
from facerecon.models.layers.first_fill import first_fill
from facerecon.models.unet_fill import UNetFillOptions

FILL_SCALE = 0.98
"""Of the first fill: at -1 and 1 tanh is flat, and the network could not change it."""

HEAD_SCALE = 0.1
"""Of the image head's initial weights: an untrained network returns nearly the first fill."""


class UNetFill(ReconstructionModel):
    """The network; see ``UNetFillOptions``."""

    def __init__(self, options: UNetFillOptions) -> None:
        super().__init__()
        widths, self.fold = options.features, options.fold
        self.fills = options.first_fill != "none"
        uses_prior = options.first_fill == "prior"
        size = (options.prior_grid, options.prior_components, options.prior_iterations)
        self.prior = FacePrior(*size) if uses_prior else None
        self.prior_from, self.confidence_from = options.prior_from, options.confidence_from
        self.progress = 1.0
        self.stride = self.fold * 2 ** (len(widths) - 1)
        self.encoders = nn.ModuleList([double_convolution(4, widths[0], self.fold)])
        self.encoders.extend(double_convolution(*pair) for pair in pairwise(widths))
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.upsamplers = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in coarse_to_fine)
        self.decoders = nn.ModuleList(double_convolution(2 * width, width) for _, width in coarse_to_fine)
        self.image_head = nn.Conv2d(widths[0], 3 * self.fold**2, 1)
        if self.fills:
            with torch.no_grad():
                for value in self.image_head.parameters():
                    value.mul_(HEAD_SCALE)
        self.confidence_head = ConfidenceHead(list(widths[::-1]), self.fold) if options.confidence else None

    def fit(self, faces: Iterable[Tensor]) -> None:
        if self.prior is not None:
            self.prior.fit(faces)

    @property
    def fits(self) -> bool:
        return self.prior is not None

    def set_progress(self, progress: float) -> None:
        self.progress = progress

    def prepare_input(self, inputs: Tensor) -> Tensor:
        return torch.cat((self._filled(inputs), inputs[:, 3:]), dim=1) if self.fills else inputs

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        skips = encode(self.encoders, self.pool, inputs)
        decoded = [skips.pop()]
        for upsample, decoder in zip(self.upsamplers, self.decoders, strict=True):
            decoded.append(decoder(torch.cat((skips.pop(), upsample(decoded[-1])), dim=1)))
        prediction = torch.tanh(F.pixel_shuffle(self.image_head(decoded[-1]), self.fold))
        if self.fills:
            start = FILL_SCALE * inputs[:, :3]
            # tanh(head + atanh(start)) by the addition theorem: runtimes are slow at atanh
            prediction = (prediction + start) / (1 + prediction * start)
        if self.confidence_head is None or (self.training and self.progress < self.confidence_from):
            return prediction, None
        image, mask = inputs[:, :3], inputs[:, 3:]
        visible = torch.where(mask > 0.5, torch.zeros_like(image), image)
        return prediction, self.confidence_head(torch.cat((visible, mask), dim=1), prediction, decoded)

    def _filled(self, inputs: Tensor) -> Tensor:
        if self.prior is None or (self.training and self.progress < self.prior_from):
            return first_fill(inputs)
        return cast(Tensor, self.prior(inputs))
