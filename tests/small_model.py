"""A model file that is made in a moment."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facerecon.contract import INPAINTING


def model_file(seed: int) -> bytes:
    """A network of two convolutions with random weights, for faces of 64 px, that keeps the contract of inpainting."""
    rng = np.random.default_rng(seed)
    shape = ["N", 3, "H", "W"]
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
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", c, "H", "W"])
            for n, c in (("image", 3), ("mask", 1))
        ],
        [
            helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["N", 1, "H", "W"]),
        ],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in tensors.items()],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {"task": "inpainting", "family": "two_convolutions", "size": "64", "licence": "MIT"}
    digests = {f"{what}_digest": "0123abcd" for what in ("weights", "config", "data")}
    helper.set_model_props(file, {**INPAINTING.metadata, **about, **digests})
    onnx.checker.check_model(file)
    return bytes(file.SerializeToString())
