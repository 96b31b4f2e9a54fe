"""Networks in the files of ncnn, a runtime for phones, as ONNX: pretrained weights are converted by it, once.

A ``.param`` file lists layers, each with the names of its inputs and outputs and numbered options; a ``.bin`` file has
the weights in the layers' order. Known are the layers of networks that enlarge images; others are refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.helper import make_node

MAGIC = "7767517"
"""The first line of a ``.param`` file."""

HALF = 0x01306B47
"""Stands before weights of 16 bits."""

OPSET = 18

Options = dict[int, list[float]]


class _Graph:
    """The nodes of an ONNX graph as the layers are read, and its constants."""

    def __init__(self, content: bytes) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}
        """What a name of the file is called in the graph, where that differs."""
        self._content, self._at = content, 0

    @property
    def unread(self) -> int:
        """Bytes of weights that no layer has asked for."""
        return len(self._content) - self._at

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self.nodes.append(make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def scalar(self, name: str, value: float) -> str:
        """Add a float32 constant and return its name."""
        return self.constant(name, np.array(value, np.float32))

    def weights(self, name: str, shape: list[int]) -> str:
        """Add the next weights, kept in 16 bits and computed with in 32, and return their name."""
        if self._take("<u4", [1])[0] != HALF:
            raise ValueError(f"the weights of {name} are not of 16 bits")
        stored = self.constant(f"{name}.half", self._take("<f2", shape))
        self._at += -self._at % 4
        return self.node("Cast", [stored], name, to=onnx.TensorProto.FLOAT)

    def bias(self, name: str, count: int) -> str:
        """Add the next values of 32 bits and return their name."""
        return self.constant(name, self._take("<f4", [count]))

    def _take(self, kind: str, shape: list[int]) -> NDArray[Any]:
        values = np.frombuffer(self._content, kind, int(np.prod(shape)), self._at).reshape(shape)
        self._at += values.nbytes
        return values


def _convolution(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    channels, side, pad, biased, count = (int(options[key][0]) for key in (0, 1, 4, 5, 6))
    kernel = graph.weights(f"{name}.weight", [channels, count // (channels * side**2), side, side])
    bias = [graph.bias(f"{name}.bias", channels)] if biased else []
    activation, slope = options.get(9, [0])[0], options.get(-23310, [1, 0])[1]
    output = outputs[0] if activation == 0 else f"{outputs[0]}.linear"
    graph.node("Conv", [*inputs, kernel, *bias], output, pads=[pad] * 4)
    if activation:
        _expect(activation == 2, name, "an activation other than leaky ReLU")
        graph.node("LeakyRelu", [output], outputs[0], alpha=slope)


def _split(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    graph.names |= dict.fromkeys(outputs, inputs[0])


def _concat(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    graph.node("Concat", inputs, outputs[0], axis=1)


def _weighted_sum(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    _expect(options[0] == [1] and len(inputs) == 2, name, "other than the sum of two")
    terms = []
    for index, (term, weight) in enumerate(zip(inputs, options[-23301][1:], strict=True)):
        factor = graph.scalar(f"{name}.factor{index}", weight) if weight != 1 else ""
        terms.append(graph.node("Mul", [term, factor], f"{name}.term{index}") if factor else term)
    graph.node("Add", terms, outputs[0])


def _sum(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    _expect(options.get(0, [0]) == [0], name, "other than a sum")
    graph.node("Add", inputs, outputs[0])


def _repeat(graph: _Graph, name: str, inputs: list[str], outputs: list[str], options: Options) -> None:
    _expect(options[0] == [1], name, "other than the nearest pixel")
    factors = graph.constant(f"{name}.factors", np.array([1, 1, *options[1], *options[2]], np.float32))
    graph.node(
        "Resize",
        [*inputs, "", factors],
        outputs[0],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


_LAYERS: dict[str, Callable[[_Graph, str, list[str], list[str], Options], None]] = {
    "Convolution": _convolution,
    "Split": _split,
    "Concat": _concat,
    "Eltwise": _weighted_sum,
    "BinaryOp": _sum,
    "Interp": _repeat,
}


def image_network(param: Path, weights: Path, name: str, output: str, scale: int) -> onnx.ModelProto:
    """The network of two files, from images to images in [0, 1] in the files, as ONNX for images in [-1, 1].

    ``image`` [N, 3, H, W] -> ``output`` [N, 3, scale * H, scale * W], cut off at -1 and 1. Equal files give equal
    graphs.

    Raises:
        ValueError: a layer, an option or the weights are not those that are known.
    """
    magic, _, *lines = param.read_text(encoding="ascii").splitlines()
    _expect(magic == MAGIC, param.name, f"'{magic}' in its first line")
    graph = _Graph(weights.read_bytes())
    one, two, last = graph.scalar("one", 1), graph.scalar("two", 2), ""
    for line in lines:
        kind, layer, inputs, outputs, options = _parsed(line)
        inputs = [graph.names.get(each, each) for each in inputs]
        if kind == "Input":
            graph.node("Div", [graph.node("Add", ["image", one], "image.above"), two], outputs[0])
            continue
        _expect(kind in _LAYERS, layer, f"a layer '{kind}'")
        _LAYERS[kind](graph, layer, inputs, outputs, options)
        last = outputs[0]
    _expect(graph.unread == 0, weights.name, f"{graph.unread} bytes that belong to no layer")
    doubled = graph.node("Sub", [graph.node("Mul", [last, two], f"{last}.doubled"), one], f"{last}.shifted")
    graph.node("Clip", [doubled, graph.scalar("minus_one", -1), one], output)
    return _model(graph, name, output, scale)


def _parsed(line: str) -> tuple[str, str, list[str], list[str], Options]:
    """Kind, name, inputs, outputs and options of a layer. An option whose key is below -23300 is a list, its length
    first."""
    kind, name, taken, given, *rest = line.split()
    first, after = int(taken), int(taken) + int(given)
    pairs = (each.split("=") for each in rest[after:] if "=" in each)
    return kind, name, rest[:first], rest[first:after], {int(k): [float(v) for v in vs.split(",")] for k, vs in pairs}


def _expect(known: bool, where: str, what: str) -> None:
    if not known:
        raise ValueError(f"{where}: {what} is not known here")


def _model(graph: _Graph, name: str, output: str, scale: int) -> onnx.ModelProto:
    values = [
        onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, ["N", 3, *sides])
        for value, sides in (("image", ("H", "W")), (output, (f"{scale}H", f"{scale}W")))
    ]
    made = onnx.helper.make_graph(graph.nodes, name, values[:1], values[1:], graph.constants)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(made, opset_imports=opsets, ir_version=onnx.helper.find_min_ir_version_for(opsets))
