"""MobileNetV2 (Sandler et al., 2018) and EfficientNet-Lite0 (Tan and Le, 2019; Liu, 2020) without their classifiers.

Both are a strided convolution and a row of inverted residual blocks: a 1x1 convolution to more channels, a depthwise
convolution, a 1x1 convolution to few. EfficientNet-Lite0 is EfficientNet-B0 without squeeze-and-excitation and with
ReLU6 for Swish. Modules are called as in the file of its pretrained weights.
"""

from typing import NamedTuple

from torch import Tensor, nn


class Stage(NamedTuple):
    """``repeats`` blocks of ``channels``; the first has the ``stride``."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int


class Backbone(NamedTuple):
    """A network up to its last stage but one: that only widens for the classifier.

    ``same``: strided convolutions pad below and to the right first, as TensorFlow's "SAME" pads images of even size.
    """

    stages: tuple[Stage, ...]
    same: bool
    eps: float


BACKBONES = {
    "mobilenet_v2": Backbone(
        (
            Stage(1, 16, 1, 1, 3),
            Stage(6, 24, 2, 2, 3),
            Stage(6, 32, 3, 2, 3),
            Stage(6, 64, 4, 2, 3),
            Stage(6, 96, 3, 1, 3),
            Stage(6, 160, 3, 2, 3),
        ),
        same=False,
        eps=1e-5,
    ),
    "efficientnet_lite0": Backbone(
        (
            Stage(1, 16, 1, 1, 3),
            Stage(6, 24, 2, 2, 3),
            Stage(6, 40, 2, 2, 5),
            Stage(6, 80, 3, 2, 3),
            Stage(6, 112, 3, 1, 5),
            Stage(6, 192, 4, 2, 5),
        ),
        same=True,
        eps=1e-3,
    ),
}

STEM = 32
"""Channels of the first convolution."""


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of an image whose sides are multiples of 32."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.pad, padding = _padding(3, 2, backbone.same)
        self.conv_stem = nn.Conv2d(3, STEM, 3, 2, padding, bias=False)
        self.bn0 = nn.BatchNorm2d(STEM, backbone.eps)
        self.relu = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        inputs = STEM
        # the last block of each scale, fine to coarse, and its channels
        self.last, self.channels = [0], [0]
        for stage in backbone.stages:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                if stride == 2:
                    self.last.append(0)
                    self.channels.append(0)
                self.blocks.append(InvertedResidual(inputs, stage, stride, backbone))
                self.last[-1], self.channels[-1], inputs = len(self.blocks) - 1, stage.channels, stage.channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # by the inputs of each channel: where statistics are fixed, nothing else keeps the features' scale
                nn.init.kaiming_normal_(module.weight)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features [N, channels, H / 2, W / 2] to [N, channels, H / 32, W / 32] of ``image`` [N, 3, H, W]."""
        features = self.relu(self.bn0(self.conv_stem(self.pad(image))))
        found = []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in self.last:
                found.append(features)
        return found


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; added to the input where the shape stays."""

    def __init__(self, inputs: int, stage: Stage, stride: int, backbone: Backbone) -> None:
        super().__init__()
        hidden = inputs * stage.expansion
        self.adds = stride == 1 and inputs == stage.channels
        self.expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False) if stage.expansion > 1 else None
        self.bn0 = nn.BatchNorm2d(hidden, backbone.eps) if stage.expansion > 1 else None
        self.pad, padding = _padding(stage.kernel, stride, backbone.same)
        self.depthwise_conv = nn.Conv2d(hidden, hidden, stage.kernel, stride, padding, groups=hidden, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden, backbone.eps)
        self.project_conv = nn.Conv2d(hidden, stage.channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stage.channels, backbone.eps)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, channels, H / stride, W / stride]."""
        hidden = inputs
        if self.expand_conv is not None and self.bn0 is not None:
            hidden = self.relu(self.bn0(self.expand_conv(hidden)))
        hidden = self.relu(self.bn1(self.depthwise_conv(self.pad(hidden))))
        outputs: Tensor = self.bn2(self.project_conv(hidden))
        return inputs + outputs if self.adds else outputs


def _padding(kernel: int, stride: int, same: bool) -> tuple[nn.Module, int]:
    """What pads before a convolution, and the convolution's own padding."""
    if stride == 1 or not same:
        return nn.Identity(), kernel // 2
    before, total = (kernel - stride) // 2, kernel - stride
    return nn.ZeroPad2d((before, total - before, before, total - before)), 0
