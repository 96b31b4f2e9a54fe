"""ONNX: one file that anyone with ONNX Runtime can use, and the proof that it computes what PyTorch computes."""

import io
import logging
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.inference.session import open_session
from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel

OPSET = 18


class _Contract(nn.Module):
    """The model with the inputs and outputs that the exported file promises."""

    def __init__(self, model: ReconstructionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(image, mask)
        return output.reconstruction, output.confidence(mask)


@dataclass(frozen=True)
class ExportedModel:
    """``content`` is the ONNX file; ``report`` says how well it agrees with PyTorch, how fast and how large it is."""

    content: bytes
    report: dict[str, Any]


def to_onnx(trained: TrainedModel, metadata: dict[str, str]) -> bytes:
    """The model as an ONNX file under the project's contract.

    Inputs ``image`` float32 [N, 3, H, W] in [-1, 1] (hole pixels are ignored) and ``mask`` float32 [N, 1, H, W] in
    {0, 1}, 1 = hole; outputs ``reconstruction`` [N, 3, H, W] in [-1, 1], composited, and ``confidence`` [N, 1, H, W]
    in [0, 1]. N, H and W are dynamic and may have any size. Equal weights and metadata give equal bytes.
    """
    model = _Contract(trained.build())
    stride = model.model.stride
    # a dimension of the example that is 1, in strides too, would be taken for a constant
    side = max(trained.size, 2 * stride)
    example = (torch.zeros(2, 3, side, side), torch.zeros(2, 1, side, side))
    shape = {axis: torch.export.Dim(name, min=1) for axis, name in ((0, "N"), (2, "H"), (3, "W"))}
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        exporter.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=["image", "mask"],
                output_names=["reconstruction", "confidence"],
                dynamic_shapes=(shape, shape),
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    _name_dimensions(proto)
    # the exporter writes the newest there is, which older runtimes refuse
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    onnx.helper.set_model_props(proto, dict(sorted(metadata.items())))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


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


def _name_dimensions(proto: onnx.ModelProto) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip((dims[0], dims[2], dims[3]), ("N", "H", "W"), strict=True):
            dim.dim_param = name


def export(
    trained: TrainedModel,
    metadata: dict[str, str],
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    min_parity: float,
) -> ExportedModel:
    """Export, check and time a model on real faces: images uint8 [N, H, W, 3], masks [N, H, W] (1 = hole).

    Raises:
        FaceReconError: ONNX Runtime differs from PyTorch by more than ``min_parity`` dB (peak 2) allows.
    """
    content = to_onnx(trained, metadata)
    session = open_session(content, torch.get_num_threads())
    model = _Contract(trained.build())
    image = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    mask = masks[:, None].astype(np.float32)
    parity = _parity(model, session, image, mask)
    # of a size that is no multiple of the stride, too: the file is to take any
    cut_off = _parity(model, session, image[:2, :, :-3, :-5], mask[:2, :, :-3, :-5])
    for value in (*parity.values(), *cut_off.values()):
        if not value >= min_parity:
            raise FaceReconError(
                f"export: ONNX Runtime differs from PyTorch, {value:.1f} dB where onnx.min_parity_psnr asks for "
                f"{min_parity:g}: the model was not exported"
            )
    latency = {
        "onnxruntime_ms": _milliseconds(lambda: session.run(None, {"image": image[:1], "mask": mask[:1]})),
        "pytorch_ms": _milliseconds(lambda: model(torch.from_numpy(image[:1]), torch.from_numpy(mask[:1]))),
    }
    report = {
        "bytes": len(content),
        "faces": len(images),
        "threads": torch.get_num_threads(),
        "parity_psnr": {name: None if np.isinf(value) else value for name, value in parity.items()},
        "latency": latency,
    }
    return ExportedModel(content, report)


def _parity(
    model: _Contract, session: onnxruntime.InferenceSession, image: NDArray[np.float32], mask: NDArray[np.float32]
) -> dict[str, float]:
    """How near ONNX Runtime comes to PyTorch, in dB, by output."""
    with torch.inference_mode():
        wanted = [tensor.numpy() for tensor in model(torch.from_numpy(image), torch.from_numpy(mask))]
    outputs = session.run(None, {"image": image, "mask": mask})
    return {
        name: psnr_of(output, want, peak)
        for name, output, want, peak in zip(("reconstruction", "confidence"), outputs, wanted, (2, 1), strict=True)
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
