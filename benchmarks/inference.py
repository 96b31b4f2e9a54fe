"""Inference on this machine's CPU: how fast, how large, how much memory, and what each way loses.

From the project's root: ``python -m benchmarks.inference``, of models that ``benchmarks.quality`` has trained
(``--model NAME=FILE.safetensors``, as often as wanted), or of networks without training. Ways are PyTorch eager and
compiled, ONNX Runtime in fp32 and int8, OpenVINO if it is installed. Each way runs in a process of its own, so that its
peak memory is its own; the ways of one size run one after the other, ``--rounds`` times in turn, and what is told is of
all rounds. The first model is the one that the others are compared with, as PyTorch runs it eagerly. Writes JSON,
Markdown and a plot.
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

from benchmarks.command import as_command
from benchmarks.latency import FILES, WAYS, run_of
from benchmarks.machine import about_machine
from benchmarks.plots import plot_inference
from benchmarks.recipes import faces_of
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.corruption.settings import MaskSettings
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.settings import SplitShares
from facerecon.evaluation.metrics import channels_first, hole_psnr, to_uint8
from facerecon.export.onnx import to_onnx
from facerecon.export.parity import parity_inputs
from facerecon.files import sha256_file, write_json, write_text
from facerecon.models import build_model, list_models
from facerecon.models.trained import TrainedModel, save_model

HEAD = "confidence_head."
"""What the names of the confidence head's weights begin with."""


class _Calibration:
    """Feeds ONNX Runtime's quantiser one real face after the other."""

    def __init__(self, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
        self.feeds = iter([feed_of(image, mask) for image, mask in zip(images, masks, strict=True)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self.feeds, None)


def feed_of(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What the exported file takes, of one face uint8 [H, W, 3] and its mask [H, W]."""
    pixels = image.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    return {"image": pixels, "mask": mask[None, None].astype(np.float32)}


def quantised(file: Path, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Path:
    """The ONNX ``file`` with convolutions in 8 bits, its ranges taken from the faces; written beside it."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, target = file.with_suffix(".prepared"), file.with_suffix(".int8")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _Calibration(images, masks),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "ConvTranspose"],
        per_channel=True,
        reduce_range=True,  # without VNNI sums of products of 8 bits overflow
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    prepared.unlink()
    return target.rename(target.with_suffix(".int8.onnx"))


def prepared(folder: Path, models: list[tuple[str, TrainedModel]], calibration: Any) -> dict[str, Path]:
    """Each model as safetensors, ONNX and int8 ONNX under ``folder``; the first by its name."""
    files = {}
    for name, model in models:
        files[name] = folder / f"{name}.safetensors"
        save_model(files[name], model)
        onnx_file = files[name].with_suffix(".onnx")
        onnx_file.write_bytes(to_onnx(model, {}))
        quantised(onnx_file, *calibration)
    return files


def timed(file: Path, way: str, size: int, seconds: float, threads: int) -> dict[str, Any]:
    """``latency.once`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.latency", way, *map(str, (file, size, seconds, threads))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def summary(rounds: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    """What is told of one way at one size."""
    times = np.concatenate([one["ms"] for one in rounds])
    return {
        "ms": {str(share): float(np.percentile(times, share)) for share in (5, 50, 95)},
        "calls": len(times),
        "ready_s": float(np.median([one["ready_s"] for one in rounds])),
        "mib": max(one["mib"] for one in rounds),
        "file_bytes": file.stat().st_size,
    }


def lost(file: Path, ways: list[str], faces: EvaluationFaces, masks: MaskSet) -> dict[str, float]:
    """Mean hole PSNR of PyTorch, eager, minus that of each of the ``ways``, in dB, over faces and frozen masks."""
    runs = {way: run_of(way, file, 0) for way in ("eager", *ways)}
    found: dict[str, list[float]] = {way: [] for way in runs}
    truth = channels_first(faces.images)
    for level, family in sorted(masks.masks):
        for number, sha in enumerate(faces.sha256s):
            mask = masks.for_face(sha, level, family)
            feed = feed_of(faces.images[number], mask)
            for way, run in runs.items():
                filled = to_uint8(torch.from_numpy(run(feed["image"], feed["mask"])))
                psnr = hole_psnr(filled, truth[number : number + 1], torch.from_numpy(feed["mask"]))
                found[way].append(float(psnr))
    means = {way: float(np.mean(values)) for way, values in found.items()}
    return {way: means["eager"] - means[way] for way in ways}


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown: latency, times faster than the first model run eagerly, memory, size; the losses."""
    head = ("image", "model", "way", "ms (5 / 50 / 95 %)", "times faster", "memory, MiB", "file, MB")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    first = next(iter(result["models"]))
    eagerly = {row["size"]: row["ms"]["50"] for row in result["rows"] if (row["model"], row["way"]) == (first, "eager")}
    for row in result["rows"]:
        ms = row["ms"]
        cells = (
            f"{row['size']} px",
            row["model"],
            row["way"],
            " / ".join(f"{ms[share]:.1f}" for share in ("5", "50", "95")),
            f"{eagerly[row['size']] / ms['50']:.2f}" if row["size"] in eagerly else "",
            f"{row['mib']:.0f}",
            f"{row['file_bytes'] / 1e6:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for name, lost_db in result["hole_psnr_lost_db"].items():
        told = ", ".join(f"{way} {lost:.3f} dB" for way, lost in lost_db.items())
        faces = f"{result['faces']} faces of {result['models'][name]['size']} px"
        lines += ["", f"Hole PSNR that {name} loses, on {faces}: {told}."]
    return "\n".join(lines) + "\n"


def without_confidence(model: TrainedModel) -> TrainedModel:
    """The same reconstructions, and no word on how sure they are; of a model without that head, itself."""
    if not any(name.startswith(HEAD) for name in model.weights):
        return model
    weights = {name: value for name, value in model.weights.items() if not name.startswith(HEAD)}
    return replace(model, options={**model.options, "confidence": False}, weights=weights)


def untrained(family: str, size: int) -> TrainedModel:
    """A network as it is drawn: as fast as a trained one, and good for nothing else."""
    torch.manual_seed(0)
    return TrainedModel(family, {}, size, 0, build_model(family, {}).state_dict())


def main() -> None:
    """Measure, write and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", default=[], help="NAME=FILE.safetensors; else untrained networks")
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--faces", type=int, default=32, help="on which the loss of quality is measured")
    parser.add_argument("--sizes", default="128,256,512")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way, model, size and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-confidence", action="store_true", help="leave the confidence heads out: plain has none")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--state", type=Path, default=Path(".facerecon/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/inference.json"))
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    pairs = [entry.partition("=") for entry in asked.model]
    models = [(name, TrainedModel.read(Path(file))) for name, _, file in pairs]
    size = models[0][1].size if models else 64
    models = models or [(family, untrained(family, size)) for family in list_models()]
    if asked.no_confidence:
        models = [(name, without_confidence(model)) for name, model in models]
    manifest = faces_of(asked.photos, asked.source, asked.state, size, SplitShares(), None)
    chosen = MaskSettings()
    masks = build_mask_set(asked.state / "masks", size, chosen.evaluation_families, chosen.levels, chosen.count)
    ways = [way for way in asked.ways.split(",") if way != "openvino" or find_spec("openvino")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = prepared(Path(folder), models, parity_inputs(manifest, masks, 32))
        for side in sizes:
            rounds: dict[tuple[str, str], list[dict[str, Any]]] = {(m, w): [] for m in files for w in ways}
            for _ in range(asked.rounds):
                for (name, way), found in rounds.items():
                    found.append(timed(files[name], way, side, asked.seconds, asked.threads))
            for (name, way), found in rounds.items():
                stored = files[name].with_suffix(FILES[way])
                rows.append({"model": name, "way": way, "size": side, **summary(found, stored)})
                print(json.dumps(rows[-1]), flush=True)
        test = evaluation_faces(manifest, "test", asked.faces)
        others = [way for way in ways if way not in ("eager", "compiled")]
        loses = {name: lost(files[name], others, test, masks) for name, _ in pairs and models}
        digests = {name: sha256_file(file) for name, file in files.items()}
    result = {
        "machine": {**about_machine(), "threads": asked.threads},
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
        "hole_psnr_lost_db": loses,
    }
    write_json(asked.out, result)
    write_text(asked.out.with_suffix(".md"), table(result))
    plot_inference(result, asked.out.with_suffix(".png"))
    print(asked.out)


if __name__ == "__main__":
    as_command(main)
