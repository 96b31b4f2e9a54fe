"""Cost: how time and memory grow with the size of the image, the network and the batch.

From the project's root: ``python -m benchmarks.cost``. Each point runs in a process of its own, and points take
turns, ``--rounds`` times. Writes JSON and a plot.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.command import write_result
from benchmarks.machine import describe_machine, peak_mib
from benchmarks.plots import plot_cost
from facerecon.models import build_model

WIDTHS = {"half": [8, 16, 24, 48, 96], "default": [16, 32, 48, 96, 192], "double": [32, 64, 96, 192, 384]}
DEFAULT = {"size": 128, "width": "default", "batch": 8}
POINTS: dict[str, list[Any]] = {
    "size": [64, 128, 256],
    "width": list(WIDTHS),
    "batch": [2, 8, 32],
}


def measure(family: str, size: int, width: str, batch: int, seconds: float) -> dict[str, float]:
    """Median seconds of a training step (pixel loss) and of a reconstruction, its GMAC, and the peak memory in MiB."""
    torch.manual_seed(0)
    model = build_model(family, {"features": WIDTHS[width], "confidence": False})
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    image, mask = torch.rand(batch, 3, size, size) * 2 - 1, torch.zeros(batch, 1, size, size)
    mask[..., size // 4 : size // 2, size // 4 : size // 2] = 1

    def train() -> None:
        (model(image, mask).reconstruction - image).abs().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.inference_mode()
    def fill() -> None:
        model(image, mask)

    times = {"train_s": _median(train, seconds)}
    model.eval()
    times["fill_s"] = _median(fill, seconds)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image, mask)
    return {**times, "gmac": counter.get_total_flops() / 2e9, "peak_mib": peak_mib()}


def _median(call: Any, seconds: float) -> float:
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 3:
        since = time.perf_counter()
        call()
        times.append(time.perf_counter() - since)
    return float(np.median(times))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--family", default="unet_fill")
    parser.add_argument("--seconds", type=float, default=3.0, help="for training and for inference, at each point")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cost.json"))
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(args.family, **args.point, seconds=args.seconds)))
        return
    points = [(axis, DEFAULT | {axis: value}) for axis, values in POINTS.items() for value in values]
    found: list[list[dict[str, float]]] = [[] for _ in points]
    for _ in range(args.rounds):
        for (_, point), rounds in zip(points, found, strict=True):
            command = [sys.executable, "-m", "benchmarks.cost", "--family", args.family, "--point", json.dumps(point)]
            done = subprocess.run(
                [*command, "--seconds", str(args.seconds)], stdout=subprocess.PIPE, text=True, check=True
            )
            rounds.append(json.loads(done.stdout.splitlines()[-1]))
    rows = [
        {"axis": axis, **point, **{name: float(np.median([one[name] for one in rounds])) for name in rounds[0]}}
        for (axis, point), rounds in zip(points, found, strict=True)
    ]
    result = {"family": args.family, "machine": describe_machine(), "rows": rows}
    write_result(args.out, result)
    plot_cost(result, args.out.with_suffix(".png"))
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
