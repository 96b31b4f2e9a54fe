"""SFace, read from its ONNX file into plain PyTorch layers.

Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 2021: a MobileNet of
13 depthwise-separable blocks. The file keeps its weights in 8 bits with one scale for each block.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.perception.identity import IdentityNetwork, register
from facerecon.weights import weights_path

Array = NDArray[Any]

_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""The five points of ArcFace's 112x112 crops (Deng et al., 2019), counted from the centre of the first pixel."""


@register
class SFace(IdentityNetwork):
    """SFace at 112x112 with 128 dimensions. ``path`` is its ONNX file; without it the weights are fetched."""

    name = "sface"
    input_size = 112
    dimensions = 128
    licence = "Apache-2.0"
    same_person = 0.363

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.layers = _layers(onnx.load(path or weights_path("sface"))).to(memory_format=torch.channels_last)
        self.register_buffer("template", torch.tensor(_TEMPLATE) + 0.5)

    def network(self, crops: Tensor) -> Tensor:
        # channels last: twice as fast on a CPU
        return self.layers(crops.contiguous(memory_format=torch.channels_last))


_CHAIN = [
    *("Sub", "Mul"),
    *("Conv", "BatchNormalization", "PRelu") * 27,
    *("BatchNormalization", "Dropout", "Flatten", "Gemm", "BatchNormalization"),
]
"""The operations from the image to the embedding; those that only prepare weights are left out."""


def _layers(model: onnx.ModelProto) -> nn.Sequential:
    """The graph as layers for images in [-1, 1], while the file's own take values of 0 to 255.

    The normalisation of the input and every batch normalisation are folded, in double precision, into the convolution
    or the matrix beside them.
    """
    values = _constants(model)
    chain = [node for node in model.graph.node if node.op_type not in ("DequantizeLinear", "Reshape", "Constant")]
    if [node.op_type for node in chain] != _CHAIN or values[chain[0].input[1]].item() != 127.5:
        raise FaceReconError("this ONNX file is not SFace: delete it and run `facerecon weights`")
    layers: list[nn.Module] = []
    factor = 127.5 * values[chain[1].input[1]].item()
    for conv, norm, activation in zip(chain[2:83:3], chain[3:83:3], chain[4:83:3], strict=True):
        scale, shift = _affine(norm, values)
        weight = values[conv.input[1]] * scale[:, None, None, None] * factor
        factor = 1.0
        layers += [_convolution(conv, weight, shift), _prelu(values[activation.input[1]])]
    scale, shift = _affine(chain[83], values)
    matrix, bias = (values[name] for name in chain[86].input[1:])
    # flattened, each channel's places lie side by side
    places = matrix.shape[1] // len(scale)
    bias = bias + matrix @ shift.repeat(places)
    out_scale, out_shift = _affine(chain[87], values)
    matrix = matrix * scale.repeat(places) * out_scale[:, None]
    return nn.Sequential(*layers, nn.Flatten(), _linear(matrix, bias * out_scale + out_shift))


def _constants(model: onnx.ModelProto) -> dict[str, Array]:
    """All weights by name in double precision, 8-bit ones multiplied out."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            settings = _settings(node)
            axis, block = settings["axis"], settings["block_size"]
            quantised, scale, zero = (values[name] for name in node.input)
            scale, zero = (part.repeat(block, axis).astype(np.float64) for part in (scale, zero))
            values[node.output[0]] = (quantised - zero) * scale
        elif node.op_type == "Reshape":
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
    return {name: value.astype(np.float64) for name, value in values.items()}


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _affine(norm: onnx.NodeProto, values: dict[str, Array]) -> tuple[Array, Array]:
    """A batch normalisation as a scale and a shift for each channel."""
    gamma, beta, mean, variance = (values[name] for name in norm.input[1:])
    scale = gamma / np.sqrt(variance + _settings(norm)["epsilon"])
    return scale, beta - mean * scale


def _convolution(node: onnx.NodeProto, weight: Array, bias: Array) -> nn.Conv2d:
    settings = _settings(node)
    group, stride, padding = settings["group"], settings["strides"][0], settings["pads"][0]
    outputs, inputs, kernel, _ = weight.shape
    layer = nn.Conv2d(inputs * group, outputs, kernel, stride, padding, groups=group)
    layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return layer


def _prelu(slope: Array) -> nn.PReLU:
    layer = nn.PReLU(slope.size)
    layer.load_state_dict({"weight": torch.from_numpy(slope.reshape(-1))})
    return layer


def _linear(matrix: Array, bias: Array) -> nn.Linear:
    layer = nn.Linear(matrix.shape[1], matrix.shape[0])
    layer.load_state_dict({"weight": torch.from_numpy(matrix), "bias": torch.from_numpy(bias)})
    return layer
