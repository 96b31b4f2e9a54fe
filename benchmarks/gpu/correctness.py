"""What tests skip where there is no GPU: precisions, resuming, repeating, and what the exported file computes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.context import Context
from benchmarks.inpainting import InpaintingRun
from facerecon.experiment import Experiment
from facerecon.export.onnx import export, psnr_of
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.sessions import open_session
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.cases import MaskCases

VAL = "val/hole_l1/brush"

PARITY_FACES = 8


class _KilledError(Exception):
    """Stands for the end of a process."""


def run(context: Context) -> None:
    """Measure all cells."""
    # without it cuBLAS has no deterministic algorithms; it reads it when it is first used
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    measure, steps = context.recorder.measure, context.scale.steps
    results: dict[str, TrainingResult] = {}
    for precision in context.precisions:
        measure(f"training in {precision}", partial(_trains, context, precision, results), steps=steps)
    best = context.precisions[1]
    for precision in ("32-true", best):
        measure(f"resuming in {precision}", partial(_resumes, context, precision), steps=3 * (steps // 2))
    for name in ("plain", "ours"):
        for deterministic, said in ((False, ""), (True, ", deterministic algorithms")):
            measure(f"one step twice{said}: {name}", partial(_repeats, context, name, best, deterministic))
    # last: the exporter takes as long as all others
    measure("parity", partial(_parity, context))


def _train(context: Context, folder: Path, settings: InpaintingRun, stop_after: int | None = None) -> TrainingResult:
    """Train; like a process that ends after the first row of the curves beyond ``stop_after`` steps."""

    def log(row: Row) -> None:
        if stop_after is not None and row["step"] > stop_after:
            raise _KilledError

    values = settings.values(*get_task("inpainting").fields["training"])
    experiment = Experiment("inpainting", values, context.kit.faces, MaskCases(context.kit.masks))
    return experiment.train(context.state / folder, experiment.provenance, log)


def _trains(context: Context, precision: str, results: dict[str, TrainingResult]) -> Mapping[str, Any]:
    """The error on val after some steps, and how far it is from that of 32 bits."""
    settings = context.settings("ours", precision, context.scale.steps)
    results[precision] = done = _train(context, Path("correctness", precision), settings)
    error = done.history[-1][VAL]
    whole = results["32-true"].history[-1][VAL] if "32-true" in results else None
    return {"val_hole_l1": error, "over_32_bits": None if whole is None else error / whole}


def _resumes(context: Context, precision: str) -> Mapping[str, Any]:
    """Whether a training that was killed and resumed ends with the weights of one that was not."""
    every = max(1, context.scale.steps // 2)
    changes = {"training.validate_every": every}
    settings = context.settings("ours", precision, 3 * every, **changes)
    whole = _train(context, Path("whole", precision), settings)
    folder = Path("killed", precision)
    with suppress(_KilledError):
        _train(context, folder, settings, stop_after=every)
    resumed = _train(context, folder, settings)
    return {"resumed_at": resumed.resumed_at, **_difference(whole.best, resumed.best)}


def _repeats(context: Context, name: str, precision: str, deterministic: bool) -> Mapping[str, Any]:
    """Whether the first step from the same state gives the same weights."""
    settings = context.settings(name, precision, 1)
    folder = Path(f"repeated-{name}-{deterministic}")
    with deterministic_algorithms(deterministic):
        try:
            once, twice = (_train(context, folder / str(index), settings).best for index in range(2))
        except RuntimeError as error:
            if not (deterministic and "deterministic" in str(error)):
                raise
            # an operation that has no such algorithm is a finding, too
            return {"refused": str(error).splitlines()[0]}
    return _difference(once, twice)


def _difference(one: TrainedModel, other: TrainedModel) -> dict[str, Any]:
    pairs = [(value.double(), other.weights[name].double()) for name, value in one.weights.items()]
    largest = max(float((value - twin).abs().max()) for value, twin in pairs if value.numel())
    return {"equal_bits": one.digest == other.digest, "largest_difference": largest}


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """PyTorch's deterministic algorithms meanwhile; what has none raises a RuntimeError that names it."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(wanted or before)
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _parity(context: Context) -> Mapping[str, Any]:
    """How near the device and ONNX Runtime on the CPU come to PyTorch on the CPU, in dB, by output.

    "tf32" is the device as PyTorch leaves it, whose convolutions may round to 10 bits of mantissa; "fp32" is without.
    """
    task, name = get_task("inpainting"), context.scale.exported
    trained = _train(context, Path("exported"), context.settings(name, "32-true", 1)).best
    inputs = task.parity_inputs(context.kit.faces, MaskCases(context.kit.masks), PARITY_FACES)
    module, signature = task.contract(trained), task.signature
    # what falls short is a figure here, not a refusal
    exported = export(module, signature, inputs, {}, min_parity=0.0)
    expected = open_session(exported.content, torch.get_num_threads()).run(None, dict(inputs))
    figures: dict[str, Any] = {"network": name, "onnxruntime": exported.report["parity_psnr"]}
    on_device = module.to(context.device)
    tensors = [torch.from_numpy(inputs[value.name]).to(context.device) for value in signature.inputs]
    for name, allowed in (("tf32", True), ("fp32", False)):
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):
            outputs = [output.cpu().numpy() for output in on_device(*tensors)]
        found = {
            value.name: psnr_of(output, wanted, value.peak)
            for value, output, wanted in zip(signature.outputs, outputs, expected, strict=True)
        }
        figures[f"device_{name}"] = {output: None if psnr == inf else psnr for output, psnr in found.items()}
    return figures
