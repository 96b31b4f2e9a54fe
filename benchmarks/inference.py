"""Inference on this machine's CPU: latency, memory, file size, and the quality that each backend loses.

From the project's root: ``python -m benchmarks.inference``, with models that ``benchmarks.quality`` has trained
(``--model NAME=FILE.safetensors``, once a model) or with untrained networks. Backends: PyTorch eager and compiled, ONNX
Runtime in fp32 and int8, OpenVINO if it is installed. Each measurement runs in a process of its own, for its peak
memory; backends and models take turns, ``--rounds`` times, and all rounds are pooled. Speedups are over the first model
run eagerly. Writes JSON, Markdown and a plot.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import as_command, write_result
from benchmarks.latency import BACKENDS, FILES, run_of
from benchmarks.machine import describe_machine
from benchmarks.plots import plot_inference
from benchmarks.recipes import evaluation_masks, faces_of
from facerecon.contract import INPAINTING
from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.settings import SplitShares
from facerecon.evaluation.metrics import channels_first, hole_psnr, to_uint8
from facerecon.export.onnx import Inputs, to_onnx
from facerecon.files import sha256_file, write_text
from facerecon.models import build_model, families_of
from facerecon.models.trained import TrainedModel, save_model
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.export import contract, parity_inputs
from facerecon.workspace import benchmarks_folder

HEAD = "confidence_head."
"""Prefix of the confidence head's weights."""


class _Calibration:
    """Feeds real faces, inputs of the exported file, one by one to ONNX Runtime's quantiser."""

    def __init__(self, inputs: Inputs) -> None:
        faces = len(next(iter(inputs.values())))
        self.feeds = iter([{name: array[i : i + 1] for name, array in inputs.items()} for i in range(faces)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self.feeds, None)


def feed_of(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Inputs of the exported file: one face uint8 [H, W, 3] and its mask [H, W]."""
    pixels = image.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    return {"image": pixels, "mask": mask[None, None].astype(np.float32)}


def quantised(file: Path, inputs: Inputs) -> Path:
    """The ONNX ``file`` with int8 convolutions, calibrated on real inputs; written beside it."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, target = file.with_suffix(".prepared"), file.with_suffix(".int8")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _Calibration(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "ConvTranspose"],
        per_channel=True,
        reduce_range=True,  # without VNNI, sums of int8 products overflow
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    prepared.unlink()
    return target.rename(target.with_suffix(".int8.onnx"))


def prepared(folder: Path, models: list[tuple[str, TrainedModel]], calibration: Inputs) -> dict[str, Path]:
    """Write each model as safetensors, ONNX and int8 ONNX; the safetensors files by the models' names."""
    files = {}
    # a dimension of the example that is 1 would be taken for a constant
    example = {name: np.zeros((2, *array.shape[1:]), np.float32) for name, array in calibration.items()}
    for name, model in models:
        files[name] = folder / f"{name}.safetensors"
        save_model(files[name], model)
        onnx_file = files[name].with_suffix(".onnx")
        onnx_file.write_bytes(to_onnx(contract(model), INPAINTING, example, {}))
        quantised(onnx_file, calibration)
    return files


def measured(file: Path, backend: str, size: int, seconds: float, threads: int) -> dict[str, Any]:
    """``latency.measure`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.latency", backend, *map(str, (file, size, seconds, threads))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def summary(rounds: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    """Latency, start-up time, memory and file size of one backend at one size."""
    times = np.concatenate([one["ms"] for one in rounds])
    return {
        "ms": {str(share): float(np.percentile(times, share)) for share in (5, 50, 95)},
        "calls": len(times),
        "ready_s": float(np.median([one["ready_s"] for one in rounds])),
        "mib": max(one["mib"] for one in rounds),
        "file_bytes": file.stat().st_size,
    }


def psnr_drops(file: Path, backends: list[str], faces: EvaluationFaces, masks: MaskSet) -> dict[str, float]:
    """Mean hole PSNR of eager PyTorch minus that of each of the ``backends``, in dB, over faces and frozen masks."""
    runs = {backend: run_of(backend, file, 0) for backend in ("eager", *backends)}
    found: dict[str, list[float]] = {backend: [] for backend in runs}
    truth = channels_first(faces.images)
    for level, family in sorted(masks.masks):
        for number, sha in enumerate(faces.sha256s):
            mask = masks.for_face(sha, level, family)
            feed = feed_of(faces.images[number], mask)
            for backend, run in runs.items():
                filled = to_uint8(torch.from_numpy(run(feed["image"], feed["mask"])))
                psnr = hole_psnr(filled, truth[number : number + 1], torch.from_numpy(feed["mask"]))
                found[backend].append(float(psnr))
    means = {backend: float(np.mean(values)) for backend, values in found.items()}
    return {backend: means["eager"] - means[backend] for backend in backends}


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown: latency, speedup over the first model run eagerly, memory, size; then the drops of PSNR."""
    head = ("image", "model", "backend", "ms (5 / 50 / 95 %)", "speedup", "memory, MiB", "file, MB")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    first = next(iter(result["models"]))
    reference = {
        row["size"]: row["ms"]["50"] for row in result["rows"] if (row["model"], row["backend"]) == (first, "eager")
    }
    for row in result["rows"]:
        ms = row["ms"]
        cells = (
            f"{row['size']} px",
            row["model"],
            row["backend"],
            " / ".join(f"{ms[share]:.1f}" for share in ("5", "50", "95")),
            f"{reference[row['size']] / ms['50']:.2f}" if row["size"] in reference else "",
            f"{row['mib']:.0f}",
            f"{row['file_bytes'] / 1e6:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for name, drops in result["hole_psnr_drop_db"].items():
        shown = ", ".join(f"{backend} {drop:.3f} dB" for backend, drop in drops.items())
        faces = f"{result['faces']} faces of {result['models'][name]['size']} px"
        lines += ["", f"Drop of hole PSNR of {name}, on {faces}: {shown}."]
    return "\n".join(lines) + "\n"


def without_confidence(model: TrainedModel) -> TrainedModel:
    """The model without its confidence head; one that has none, itself."""
    if not any(name.startswith(HEAD) for name in model.weights):
        return model
    weights = {name: value for name, value in model.weights.items() if not name.startswith(HEAD)}
    return replace(model, options={**model.options, "confidence": False}, weights=weights)


def untrained(family: str, size: int) -> TrainedModel:
    """A network with its initial weights: as fast as a trained one."""
    torch.manual_seed(0)
    return TrainedModel(family, {}, size, 0, build_model(family, {}).state_dict())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", default=[], help="NAME=FILE.safetensors; else untrained networks")
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--faces", type=int, default=32, help="on which quality is measured")
    parser.add_argument("--sizes", default="128,256,512")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each backend, model, size and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-confidence", action="store_true", help="without confidence heads: plain has none")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--state", type=Path, default=benchmarks_folder())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/inference.json"))
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    pairs = [entry.partition("=") for entry in args.model]
    models = [(name, TrainedModel.read(Path(file))) for name, _, file in pairs]
    size = models[0][1].size if models else 64
    models = models or [(family, untrained(family, size)) for family in families_of("inpainting")]
    if args.no_confidence:
        models = [(name, without_confidence(model)) for name, model in models]
    manifest = faces_of(args.photos, args.source, args.state, size, SplitShares(), None)
    masks = evaluation_masks(args.state, size)
    backends = [name for name in args.backends.split(",") if name != "openvino" or find_spec("openvino")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = prepared(Path(folder), models, parity_inputs(manifest, MaskCases(masks), 32))
        for side in sizes:
            rounds: dict[tuple[str, str], list[dict[str, Any]]] = {(m, b): [] for m in files for b in backends}
            for _ in range(args.rounds):
                for (name, backend), found in rounds.items():
                    found.append(measured(files[name], backend, side, args.seconds, args.threads))
            for (name, backend), found in rounds.items():
                stored = files[name].with_suffix(FILES[backend])
                rows.append({"model": name, "backend": backend, "size": side, **summary(found, stored)})
                print(json.dumps(rows[-1]), flush=True)
        test = evaluation_faces(manifest, "test", args.faces)
        others = [backend for backend in backends if backend not in ("eager", "compiled")]
        drops = {name: psnr_drops(files[name], others, test, masks) for name, _ in pairs and models}
        digests = {name: sha256_file(file) for name, file in files.items()}
    result = {
        "machine": {**describe_machine(), "threads": args.threads},
        "models": {
            name: {
                "family": model.family,
                "options": model.options,
                "size": model.size,
                "step": model.step,
                "digest": digests[name],
            }
            for name, model in models
        },
        "rows": rows,
        "faces": len(test),
        "hole_psnr_drop_db": drops,
    }
    write_result(args.out, result)
    write_text(args.out.with_suffix(".md"), table(result))
    plot_inference(result, args.out.with_suffix(".png"))
    print(args.out)


if __name__ == "__main__":
    as_command(main)
