"""dlib's face recognition network, read from its own file into plain PyTorch layers.

King, "High Quality Face Recognition with Deep Metric Learning", 2017 (dlib 19.3): a ResNet of 29 convolutions,
after He et al., 2016, with half the filters. The same faces give the same embeddings as dlib itself, some twenty times
faster: dlib's wheels are built without a matrix library.
"""

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.perception.identity import IdentityNetwork, register
from facerecon.weights import weights_path

_SIDE, _PADDING = 150, 0.25
"""The crop's side in pixels, and the margin around the mean face as a share of that face's width."""

_IN_FACE = (
    *((0.225492, 0.215990), (0.754761, 0.215990)),
    (0.490127, 0.515625),
    *((0.254149, 0.780233), (0.726104, 0.780233)),
)
"""The five points in dlib's mean face (its ``get_face_chip_details``): the mean of each eye's six points for the
pupil, the nose's tip, the mouth's corners."""

_BLOCKS = (
    *((32, 32, 1),) * 3,
    *((32, 64, 2), *((64, 64, 1),) * 3),
    *((64, 128, 2), *((128, 128, 1),) * 2),
    *((128, 256, 2), *((256, 256, 1),) * 2),
    (256, 256, 2),
)
"""Channels before and after each residual block, and its stride."""


class _Block(nn.Module):
    """A residual block. Where its two paths differ in size, the smaller is filled up with zeros, as in dlib."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1 if stride == 1 else 0)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.stride == 1 else F.avg_pool2d(features, 2)
        detour = self.second(torch.relu(self.first(features)))
        sizes = [max(pair) for pair in zip(shortcut.shape[1:], detour.shape[1:], strict=True)]
        return torch.relu(_filled_up(shortcut, sizes) + _filled_up(detour, sizes))


def _filled_up(features: Tensor, sizes: list[int]) -> Tensor:
    channels, rows, columns = (size - had for size, had in zip(sizes, features.shape[1:], strict=True))
    return F.pad(features, (0, columns, 0, rows, 0, channels))


@register
class DlibResNet(IdentityNetwork):
    """dlib's network at 150x150 with 128 dimensions. ``path`` is its file; without it the weights are fetched.

    It was trained so that photos of one person lie less than 0.6 apart and those of two people further, with no
    constraint on the length of what it returns (about 1.3): that distance is one of ``describe``. The cosine of
    ``embed`` leaves the length out. It judges only: a network that has taught a model cannot testify for it.

    Raises ``FaceReconError`` for a file that is not this network.
    """

    name = "dlib"
    input_size = _SIDE
    dimensions = 128
    licence = "CC0-1.0"
    teaches = False
    same_person = 0.909

    mean: Tensor

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.Sequential(*(_Block(*block) for block in _BLOCKS))
        self.head = nn.Linear(256, self.dimensions, bias=False)
        self.register_buffer("mean", torch.tensor([122.782, 117.001, 104.298]).reshape(1, 3, 1, 1))
        self.register_buffer("template", (torch.tensor(_IN_FACE) + _PADDING) / (2 * _PADDING + 1) * self.input_size)
        self._read(path or weights_path("dlib"))
        self.to(memory_format=torch.channels_last)

    def network(self, crops: Tensor) -> Tensor:
        # channels last: faster on a CPU
        values = ((crops + 1) * 127.5 - self.mean) / 256
        features = torch.relu(self.stem(values.contiguous(memory_format=torch.channels_last)))
        return self.head(self.blocks(F.max_pool2d(features, 3, 2)).mean(dim=(2, 3)))

    def _read(self, path: Path) -> None:
        """Fill the layers in the order of the file, each affine layer folded into the convolution before it."""
        *pairs, matrix = _parameters(path.read_bytes())
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        try:
            for layer, weights, affine in zip(convolutions, pairs[::2], pairs[1::2], strict=True):
                scale, shift = torch.from_numpy(affine).double().reshape(2, layer.out_channels)
                flat = torch.from_numpy(weights).double()
                kernel = flat[: layer.weight.numel()].reshape(layer.weight.shape)
                bias = flat[layer.weight.numel() :].reshape(layer.out_channels)
                layer.load_state_dict({"weight": kernel * scale.reshape(-1, 1, 1, 1), "bias": bias * scale + shift})
            self.head.load_state_dict({"weight": torch.from_numpy(matrix).reshape(256, self.dimensions).T})
        except (RuntimeError, ValueError) as error:
            raise FaceReconError(
                f"{path} is not dlib's face recognition network: delete it and run `facerecon weights`"
            ) from error


_LAYER = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2\x01\x80\x02\x00\x01)")
"""How a layer with parameters begins: the length of its name as an integer, the name; 128 outputs, 256 inputs."""


def _parameters(content: bytes) -> list[NDArray[np.float32]]:
    """The parameters of each convolution, affine and fully connected layer, flat, in the file's order.

    They are dlib's serialised tensors: a version, four sizes, and the values in 32 bits, little-endian.
    """
    tensors, position = [], 0
    while layer := _LAYER.search(content, position):
        position, sizes = layer.end(), []
        for _ in range(5):
            value, position = _integer(content, position)
            sizes.append(value)
        count = int(np.prod(sizes[1:]))
        if not 0 <= 4 * count <= len(content) - position:
            break
        tensors.append(np.frombuffer(content, "<f4", count, position).astype(np.float32))
        position += 4 * count
    return tensors or [np.empty(0, np.float32)]


def _integer(content: bytes, position: int) -> tuple[int, int]:
    """dlib's integers: a byte whose lower half is the number of bytes that follow; the value, and where it ends."""
    end = position + 1 + (content[position] & 15 if position < len(content) else 0)
    return int.from_bytes(content[position + 1 : end], "little"), end
