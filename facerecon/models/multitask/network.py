"""An encoder, a light decoder to a quarter of the image's size, and heads for points, depth and confidence."""

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from facerecon.models.fpn.encoder import BACKBONES, Encoder
from facerecon.models.landmarks import POINTS, LandmarkModel, Landmarks
from facerecon.models.multitask import MultitaskOptions
from facerecon.models.multitask.refinement import Refinement
from facerecon.weights import weights_path

HEAD_SCALE = 0.02
"""Of the linear head's initial weights: an untrained network returns nearly the mean shape."""


class Multitask(LandmarkModel):
    """The network; see ``MultitaskOptions``."""

    stride = 32

    def __init__(self, options: MultitaskOptions) -> None:
        super().__init__()
        width = options.width
        self.pretrained_weights = options.pretrained_weights
        self.encoder = Encoder(BACKBONES[options.backbone])
        coarsest, *finer = list(reversed(self.encoder.channels))[:-1]
        self.first = nn.Conv2d(coarsest, width, 1)
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in finer)
        self.merges = nn.ModuleList(_separable(width) for _ in finer)
        self.depth_head = nn.Sequential(_separable(width), nn.Conv2d(width, 4, 3, padding=1))
        self.soft = options.points == "soft_argmax"
        if self.soft:
            self.heat = nn.Conv2d(width, 2 * POINTS, 1)
        else:
            self.dense = nn.Sequential(nn.Linear(coarsest * 4, 256), nn.ReLU(inplace=True), nn.Linear(256, 3 * POINTS))
            with torch.no_grad():
                for value in self.dense[-1].parameters():
                    value.mul_(HEAD_SCALE)
        self.confidence_head = nn.Linear(coarsest, POINTS)
        self.refinement = None if options.refine == "none" else Refinement(width, options.refine == "graph")

    def load_pretrained(self) -> None:
        for name in self.pretrained_weights:
            stored, own = load_file(weights_path(name)), self.encoder.state_dict()
            # the counts of batches are not stored, and nothing reads them
            self.encoder.load_state_dict({key: stored.get(key, value) for key, value in own.items()})

    def predict(self, image: Tensor) -> Landmarks:
        *finer, coarsest = self.encoder(image)[1:]
        features = self.first(coarsest)
        for merge, lateral, level in zip(self.merges, self.laterals, reversed(finer), strict=True):
            features = merge(lateral(level) + F.interpolate(features, scale_factor=2.0, mode="nearest"))
        depth = F.pixel_shuffle(self.depth_head(features), 2)
        depth = F.interpolate(depth, scale_factor=2.0, mode="bilinear", align_corners=False)
        logits = self.confidence_head(coarsest.mean(dim=(2, 3)))
        points = self._points(features, coarsest)
        if self.refinement is not None:
            points = self.refinement(features, points)
        return Landmarks(points, depth, logits)

    def _points(self, features: Tensor, coarsest: Tensor) -> Tensor:
        """Points [N, 68, 3] in shares of the image's side."""
        if not self.soft:
            return self.mean_shape + self.dense(_moments(coarsest)).unflatten(1, (POINTS, 3))
        heat, z = self.heat(features).chunk(2, dim=1)
        height, width = heat.shape[2:]
        weights = heat.flatten(2).softmax(dim=2).unflatten(2, (height, width))
        x = (weights.sum(dim=2) * _centres(width, heat)).sum(dim=2)
        y = (weights.sum(dim=3) * _centres(height, heat)).sum(dim=2)
        towards = (weights * z).sum(dim=(2, 3)) + self.mean_shape[:, 2]
        return torch.stack([x, y, towards], dim=2)


def _moments(features: Tensor) -> Tensor:
    """The means [N, 4 C] of features [N, C, H, W], and of them times x, y and x y from the image's middle."""
    height, width = features.shape[2:]
    x, y = _centres(width, features) - 0.5, (_centres(height, features) - 0.5)[:, None]
    return torch.cat([(features * weight).mean(dim=(2, 3)) for weight in (1.0, x, y, x * y)], dim=1)


def _centres(cells: int, like: Tensor) -> Tensor:
    """The middles of so many cells along a side of 1."""
    return (torch.arange(cells, dtype=like.dtype, device=like.device) + 0.5) / cells


def _separable(width: int) -> nn.Sequential:
    """A 3x3 convolution of each channel by itself, then one over channels."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
