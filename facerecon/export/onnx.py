"""ONNX: one file that anyone with ONNX Runtime can use, and the proof that it computes what PyTorch computes."""

import io
import logging
import time
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from facerecon.contract import Signature, Value
from facerecon.errors import FaceReconError
from facerecon.export.result import ExportedModel
from facerecon.sessions import open_session

OPSET = 18

Inputs = Mapping[str, NDArray[np.float32]]


def to_onnx(module: nn.Module, signature: Signature, inputs: Inputs, metadata: dict[str, str]) -> bytes:
    """A module as an ONNX file under a signature, traced with example ``inputs`` of at least two faces.

    What the signature names by a symbol is dynamic and may have any size. Equal weights and metadata give equal bytes.
    """
    example = tuple(torch.from_numpy(inputs[value.name]) for value in signature.inputs)
    dims = {name: torch.export.Dim(name, min=1) for value in signature.inputs for name in _symbols(value).values()}
    shapes = tuple({axis: dims[name] for axis, name in _symbols(value).items()} for value in signature.inputs)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        exporter.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=[value.name for value in signature.inputs],
                output_names=[value.name for value in signature.outputs],
                dynamic_shapes=shapes,
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    described = (*proto.graph.input, *proto.graph.output)
    for tensor, value in zip(described, (*signature.inputs, *signature.outputs), strict=True):
        for axis, name in _symbols(value).items():
            tensor.type.tensor_type.shape.dim[axis].dim_param = name
    # the newest would be written, which runtimes of last year do not read
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    onnx.helper.set_model_props(proto, dict(sorted(metadata.items())))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def _symbols(value: Value) -> dict[int, str]:
    """The dimensions of a value that a symbol names, by axis."""
    return {axis: dim for axis, dim in enumerate(value.shape) if isinstance(dim, str)}


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its own source: stack traces with paths differ from clone to clone."""
    proto.doc_string = ""
    proto.producer_version = ""
    del proto.metadata_props[:]
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for item in (*graph.node, *graph.value_info):
            item.doc_string = ""
            del item.metadata_props[:]
    for item in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    # shapes of intermediate values are inferred by every runtime and hold the exporter's own symbols
    del proto.graph.value_info[:]


def export(
    module: nn.Module, signature: Signature, inputs: Inputs, metadata: dict[str, str], min_parity: float
) -> ExportedModel:
    """Export, check and time a module on real inputs of the signature.

    Its attributes ``stride`` and ``scale``, 1 without, say of which numbers height and width are multiples within, and
    how many times as high and as wide its outputs are: a scale other than 1 stands in the metadata.

    Raises:
        FaceReconError: ONNX Runtime differs from PyTorch by more than ``min_parity`` dB (of the output's range) allows.
    """
    # a dimension of the example that is 1, inside the network too, would be taken for a constant
    least = 2 * int(getattr(module, "stride", 1))
    example = {value.name: _example(value, inputs[value.name], least) for value in signature.inputs}
    scale = int(getattr(module, "scale", 1))
    content = to_onnx(module, signature, example, metadata if scale == 1 else metadata | {"scale": str(scale)})
    session = open_session(content, torch.get_num_threads())
    parity = _parity(module, session, signature, inputs)
    # of a size that is no multiple of the stride, too, where the file is to take any
    cut = {value.name: _cut(value, inputs[value.name]) for value in signature.inputs}
    for value in (*parity.values(), *_parity(module, session, signature, cut).values()):
        if not value >= min_parity:
            raise FaceReconError(
                f"export: ONNX Runtime differs from PyTorch, {value:.1f} dB where onnx.min_parity_psnr asks for "
                f"{min_parity:g}: the model was not exported"
            )
    one = {name: array[:1] for name, array in inputs.items()}
    tensors = [torch.from_numpy(one[value.name]) for value in signature.inputs]
    report = {
        "bytes": len(content),
        "faces": len(next(iter(inputs.values()))),
        "threads": torch.get_num_threads(),
        "parity_psnr": {name: None if np.isinf(value) else value for name, value in parity.items()},
        "latency": {
            "onnxruntime_ms": _milliseconds(lambda: session.run(None, one)),
            "pytorch_ms": _milliseconds(lambda: module(*tensors)),
        },
    }
    return ExportedModel(content, report)


def _example(value: Value, array: NDArray[np.float32], least: int) -> NDArray[np.float32]:
    """Two faces of zeros, at least so many pixels high and wide where the signature leaves that open."""
    symbols = _symbols(value)
    sides = [max(side, least) if symbols.get(axis) in ("H", "W") else side for axis, side in enumerate(array.shape)]
    return np.zeros((2, *sides[1:]), np.float32)


_CUT = {"H": 3, "W": 5}
"""So many rows and columns are left out to check the file at a size off the stride."""


def _cut(value: Value, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two faces, smaller by _CUT where the signature leaves height and width open."""
    index = [slice(None)] * array.ndim
    index[0] = slice(2)
    for axis, name in _symbols(value).items():
        if name in _CUT:
            index[axis] = slice(-_CUT[name])
    return array[tuple(index)]


def _parity(
    module: nn.Module, session: onnxruntime.InferenceSession, signature: Signature, inputs: Inputs
) -> dict[str, float]:
    """How near ONNX Runtime comes to PyTorch, in dB, by output."""
    with torch.inference_mode():
        found = module(*(torch.from_numpy(inputs[value.name]) for value in signature.inputs))
    expected = [tensor.numpy() for tensor in (found if isinstance(found, tuple) else (found,))]
    outputs = session.run(None, dict(inputs))
    return {
        value.name: psnr_of(output, want, value.peak)
        for value, output, want in zip(signature.outputs, outputs, expected, strict=True)
    }


def psnr_of(output: NDArray[np.float32], wanted: NDArray[np.float32], peak: float) -> float:
    """Peak signal-to-noise ratio in dB of two arrays; equal ones give infinity, a NaN gives NaN."""
    error = float(np.mean((output.astype(np.float64) - wanted.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def _milliseconds(run: Any, repeats: int = 20) -> dict[str, float]:
    """Median and 95th percentile of one call, after two that do not count."""
    times = []
    with torch.inference_mode():
        for index in range(repeats + 2):
            start = time.perf_counter()
            run()
            if index >= 2:
                times.append((time.perf_counter() - start) * 1000)
    return {"median": float(np.median(times)), "p95": float(np.percentile(times, 95))}
