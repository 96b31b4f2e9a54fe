"""Model files that are made in a moment."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION, Signature


def model_file(seed: int) -> bytes:
    """A network of two convolutions with random weights, for faces of 64 px, that keeps the contract of inpainting."""
    rng = np.random.default_rng(seed)
    tensors = {
        "first": rng.normal(0, 0.3, (8, 4, 3, 3)),
        "second": rng.normal(0, 0.3, (3, 8, 3, 3)),
        "third": rng.normal(0, 0.3, (1, 8, 3, 3)),
        "one": np.ones((1, 1, 1, 1)),
    }
    nodes = [
        helper.make_node("Concat", ["image", "mask"], ["seen"], axis=1),
        helper.make_node("Conv", ["seen", "first"], ["hidden"], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["hidden"], ["features"]),
        helper.make_node("Conv", ["features", "second"], ["drawn"], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["drawn"], ["filled"]),
        helper.make_node("Conv", ["features", "third"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logits"], ["sure"]),
        helper.make_node("Equal", ["mask", "one"], ["hole"]),
        helper.make_node("Where", ["hole", "filled", "image"], ["reconstruction"]),
        helper.make_node("Where", ["hole", "sure", "one"], ["confidence"]),
    ]
    return _file(INPAINTING, nodes, tensors, {"family": "two_convolutions"})


def restoration_file(seed: int, scale: int = 1) -> bytes:
    """The same for restoration: ``scale`` times as high and as wide, clearly another picture than what goes in."""
    rng = np.random.default_rng(seed)
    tensors = {
        "first": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "second": rng.normal(0, 0.3, (3 * scale**2, 8, 3, 3)),
        "third": rng.normal(0, 0.3, (scale**2, 8, 3, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["hidden"], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["hidden"], ["features"]),
        helper.make_node("Conv", ["features", "second"], ["drawn"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["drawn"], ["large"], blocksize=scale),
        helper.make_node("Tanh", ["large"], ["restoration"]),
        helper.make_node("Conv", ["features", "third"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["logits"], ["large_logits"], blocksize=scale),
        helper.make_node("Sigmoid", ["large_logits"], ["confidence"]),
    ]
    return _file(RESTORATION, nodes, tensors, {"family": "two_convolutions", "scale": str(scale)})


def landmarks_file(shape: np.ndarray) -> bytes:
    """The same for landmarks, of crops of 64 px alone: it puts ``shape`` [68, 3] where the crop's light lies, a little
    beside its middle, takes light for near, and is sure of a face where there is contrast."""
    size = 64
    ways = np.stack(np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2))[:, None] / size**3
    tensors = {
        "shape": shape[None],
        "ways": np.concatenate([ways.repeat(3, axis=1), np.zeros((1, 3, size, size))]),
        "light": np.full((1, 3, 1, 1), 4.0),
        "least": np.full((1, 1), 0.1),
        "steep": np.full((1, len(shape)), 40.0),
    }
    shapes = {"spatial": [1, 2, 3], "triple": [-1, 1, 3], "single": [-1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "ways"], ["pull"]),
        helper.make_node("Reshape", ["pull", "triple"], ["moved"]),
        helper.make_node("Add", ["moved", "shape"], ["landmarks"]),
        helper.make_node("Conv", ["image", "light"], ["depth"]),
        helper.make_node("ReduceMean", ["image", "spatial"], ["mean"]),
        helper.make_node("Sub", ["image", "mean"], ["centred"]),
        helper.make_node("Abs", ["centred"], ["apart"]),
        helper.make_node("ReduceMean", ["apart", "spatial"], ["contrasts"]),
        helper.make_node("Reshape", ["contrasts", "single"], ["contrast"]),
        helper.make_node("Sub", ["contrast", "least"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["confidence"]),
    ]
    integers = [numpy_helper.from_array(np.array(values), name) for name, values in shapes.items()]
    return _file(LANDMARKS, nodes, tensors, {"family": "mean_shape"}, integers)


def _file(
    signature: Signature,
    nodes: list[onnx.NodeProto],
    tensors: dict[str, np.ndarray],
    about: dict[str, str],
    integers: Sequence[onnx.TensorProto] = (),
) -> bytes:
    inputs, outputs = (
        [helper.make_tensor_value_info(value.name, TensorProto.FLOAT, value.shape) for value in values]
        for values in (signature.inputs, signature.outputs)
    )
    weights = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [*weights, *integers])
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    more = {"task": signature.task, "size": "64", "licence": "MIT"}
    digests = {f"{what}_digest": "0123abcd" for what in ("weights", "config", "data")}
    helper.set_model_props(file, {**signature.metadata, **more, **about, **digests})
    onnx.checker.check_model(file)
    return bytes(file.SerializeToString())
