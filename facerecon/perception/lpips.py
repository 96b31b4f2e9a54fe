"""LPIPS, the learned perceptual distance, version 0.1.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.weights import weights_path

MINIMUM = 32
"""The smallest height and width in pixels; below it AlexNet's last stage has no pixel left."""

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation for images in [-1, 1], as LPIPS rounds them."""


def _alex() -> list[nn.Module]:
    """The five stages of AlexNet, each up to the ReLU whose output is compared."""
    return [
        nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, stride=2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, stride=2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]


def _vgg() -> list[nn.Module]:
    """The five stages of VGG-16, each up to the ReLU whose output is compared."""
    stages: list[nn.Module] = []
    before = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
        for _ in range(depth):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        stages.append(nn.Sequential(*layers))
    return stages


class LPIPS(nn.Module):
    """Perceptual distance of images, frozen. It equals the ``lpips`` package with ``spatial=False``.

    ``path`` is a file that ``facerecon.weights`` made; without it the weights ``lpips_<backbone>`` are fetched.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Literal["alex", "vgg"] = "alex", path: Path | None = None) -> None:
        super().__init__()
        if backbone not in ("alex", "vgg"):
            raise FaceReconError(f"LPIPS has no backbone {backbone!r}: choose alex or vgg")
        self.backbone = backbone
        self.stages = nn.ModuleList(_alex() if backbone == "alex" else _vgg())
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        tensors = load_file(path or weights_path(f"lpips_{backbone}"))
        for index, conv in enumerate(m for m in self.modules() if isinstance(m, nn.Conv2d)):
            conv.load_state_dict({name: tensors[f"convs.{index}.{name}"] for name in ("weight", "bias")})
        self.heads = nn.ParameterList(tensors[f"heads.{index}"] for index in range(len(self.stages)))
        self.requires_grad_(False).eval()

    def features(self, images: Tensor) -> list[Tensor]:
        """What the distance compares: for each stage [N, C, h, w], of unit length at every place.

        ``images`` [N, 3, H, W] in [-1, 1], H and W at least 32 pixels, else ``FaceReconError``.
        """
        if min(images.shape[-2:]) < MINIMUM:
            height, width = images.shape[-2:]
            raise FaceReconError(f"LPIPS needs images of {MINIMUM}x{MINIMUM} pixels or more, not {width}x{height}")
        outputs = []
        current = (images - self.shift) / self.scale
        for stage in self.stages:
            current = stage(current)
            # inside the root, so that a place where all channels are 0 has a gradient that is not NaN; in float32,
            # where it does not vanish
            wide = current.float()
            outputs.append(wide * torch.rsqrt(wide.square().sum(1, keepdim=True) + 1e-20))
        return outputs

    def distance(self, features_a: list[Tensor], features_b: list[Tensor]) -> Tensor:
        """The distances [N], 0 for equal images, from two results of ``features``."""
        stages = zip(self.heads, features_a, features_b, strict=True)
        return torch.stack([((a - b).square().mean(dim=(2, 3)) * head).sum(1) for head, a, b in stages]).sum(0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distances [N] of the images ``a`` to ``b``, both [N, 3, H, W] in [-1, 1]."""
        return self.distance(self.features(a), self.features(b))
