"""The latency of one backend: a process of its own for ``benchmarks.inference``, with few imports.

``python -m benchmarks.latency BACKEND FILE.safetensors SIZE SECONDS THREADS`` prints JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import peak_mib, reset_peak_mib
from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel
from facerecon.sessions import open_session
from facerecon.tasks.inpainting.network import network_of

FILES = {
    **dict.fromkeys(("eager", "compiled"), ".safetensors"),
    **dict.fromkeys(("onnxruntime", "openvino"), ".onnx"),
    "onnxruntime_int8": ".int8.onnx",
}
"""The suffix of the file that each backend reads."""

BACKENDS = tuple(FILES)

Run = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


def example(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An image [1, 3, size, size] in [-1, 1] and a mask with a hole of a quarter of the image in its middle."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    mask = np.zeros((1, 1, size, size), np.float32)
    mask[:, :, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    return image, mask


def eager(model: Path, threads: int) -> Run:
    return _of_torch(_network(model))


def compiled(model: Path, threads: int) -> Run:
    return _of_torch(torch.compile(_network(model)))


def _network(model: Path) -> ReconstructionModel:
    """The trained network, channels last, in which PyTorch is fastest."""
    return network_of(TrainedModel.read(model)).to(memory_format=torch.channels_last)


def _of_torch(network: Any) -> Run:
    @torch.inference_mode()
    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = network(torch.from_numpy(image), torch.from_numpy(mask)).reconstruction.numpy()
        return output

    return run


def onnxruntime(model: Path, threads: int) -> Run:
    session = open_session(model.with_suffix(".onnx").read_bytes(), threads)

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = session.run(["reconstruction"], {"image": image, "mask": mask})[0]
        return output

    return run


def onnxruntime_int8(model: Path, threads: int) -> Run:
    return onnxruntime(model.with_suffix(".int8.safetensors"), threads)


def openvino(model: Path, threads: int) -> Run:
    import openvino as ov

    core = ov.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    network = core.compile_model(str(model.with_suffix(".onnx")), "CPU", settings)

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = network({"image": image, "mask": mask})["reconstruction"]
        return output

    return run


def run_of(backend: str, model: Path, threads: int) -> Run:
    """The trained ``model``, a safetensors file with its ONNX files beside it, as ``backend`` runs it."""
    starts = {start.__name__: start for start in (eager, compiled, onnxruntime, openvino, onnxruntime_int8)}
    return starts[backend](model, threads)


def measure(backend: str, model: Path, size: int, seconds: float, threads: int) -> dict[str, Any]:
    """Latencies in ms of single images for ``seconds``, start-up in s, and the growth of this process's peak in MiB."""
    torch.set_num_threads(threads)
    inputs = example(size)
    if backend == "openvino":
        import_module(backend)  # before memory is measured, as the other libraries
    before = reset_peak_mib()
    start = time.perf_counter()
    run = run_of(backend, model, threads)
    for _ in range(3):
        run(*inputs)
    ready = time.perf_counter() - start
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        since = time.perf_counter()
        run(*inputs)
        times.append((time.perf_counter() - since) * 1000)
    return {"ms": times, "ready_s": ready, "mib": peak_mib() - before}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))))
