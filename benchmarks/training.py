"""Training speed: this project's loop beside the plain recipe on the same network, and the parts of a step.

From the project's root: ``python -m benchmarks.training``. Each loop trains the same network with the same losses for
``--steps`` steps in a process of its own; loops take turns, ``--rounds`` times. Loops are ``plain`` (see
``benchmarks.plain``), ``ours`` in fp32, and ``ours_bf16``, which is faster where the processor has instructions for
bf16. Ratios are of medians. Writes JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.command import as_command, write_result
from benchmarks.inpainting import InpaintingRun
from benchmarks.machine import describe_machine
from benchmarks.plain import CPU, train_plainly
from benchmarks.recipes import PLAIN, Recipe, Train, evaluation_masks, faces_of, settings_of, train_ours
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.datasets import StepSampler
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.models import build_model
from facerecon.tasks.inpainting.dataset import TrainingFaces, collate
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.training.precision import precision_of
from facerecon.training.processes import keep_freed_memory
from facerecon.workspace import benchmarks_folder

LOOPS: dict[str, tuple[Train, dict[str, Any]]] = {
    "plain": (train_plainly, {}),
    "ours": (train_ours, {"training.precision": "32-true"}),
    "ours_bf16": (train_ours, {"training.precision": "bf16-mixed"}),
}
"""How each loop trains, and the settings that it changes."""


def speed(loop: str, manifest: Manifest, masks: MaskSet, recipe: Recipe, steps: int) -> float:
    """Images a second of one loop, without validation."""
    train_function, changes = LOOPS[loop]
    settings = settings_of(replace(recipe, changes=changes), steps)
    with tempfile.TemporaryDirectory() as folder:
        _, rate = train_function(manifest, masks, settings, Path(folder), steps)
    return float(rate)


def speeds(rounds: int) -> dict[str, list[float]]:
    """Images a second of each loop in each round, each in a process of its own."""
    found: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    for _ in range(rounds):
        for loop, rates in found.items():
            command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--loop", loop]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rates.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps({loop: rates[-1]}), flush=True)
    return found


def parts(manifest: Manifest, settings: InpaintingRun, device: torch.device = CPU) -> dict[str, float]:
    """Shares of a step's time: reading and augmenting faces, drawing masks, moving the batch to the device, forward,
    the loss with its networks, backward, the optimiser; each is waited for."""
    keep_freed_memory()
    training = settings.training
    draw = TrainingMasks(settings.masks, manifest.size)
    torch.manual_seed(settings.seed)
    model = build_model(settings.model.family, settings.model.options)
    model = model.to(device).to(memory_format=torch.channels_last)
    criterion = ReconstructionLoss(training.losses).to(device)
    half = precision_of(training) == "bf16-mixed"
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate, fused=True)
    spent: defaultdict[str, float] = defaultdict(float)
    since = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal since
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        spent[name] += now - since
        since = now

    def timed_draw(*arguments: Any) -> Any:
        lap("faces")
        mask = draw(*arguments)
        lap("masks")
        return mask

    faces = TrainingFaces(manifest, training.augmentation, timed_draw, settings.seed)
    sampler = StepSampler(len(faces), training.batch_size, training.steps, settings.seed)
    for step, draws in enumerate(sampler):
        read = collate(faces.__getitems__(draws))
        lap("faces")
        batch = read.to(device)
        lap("to_device")
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            output = model(batch.image, batch.mask)
            lap("forward")
            loss = criterion(output, batch, step).total
        lap("loss_forward")
        loss.backward()
        lap("backward")
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        lap("optimiser")
    whole = sum(spent.values())
    return {name: seconds / whole for name, seconds in spent.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--model", type=json.loads, default=PLAIN, help="family and options, as JSON")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=48, help="of each loop in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--state", type=Path, default=benchmarks_folder())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    manifest = faces_of(args.photos, args.source, args.state, args.size, SplitShares(), None)
    recipe, masks = Recipe(args.model, 1e-3, batch=args.batch), evaluation_masks(args.state, args.size)
    if args.loop:
        print(speed(args.loop, manifest, masks, recipe, args.steps))
        return
    rates = speeds(args.rounds)
    result: dict[str, Any] = {
        "model": args.model,
        "batch": args.batch,
        "size": args.size,
        "steps": args.steps,
        "machine": describe_machine(),
        "images_per_second": rates,
        "over_plain": {loop: median(rates[loop]) / median(rates["plain"]) for loop in LOOPS if loop != "plain"},
        "shares_of_a_step": parts(manifest, settings_of(replace(recipe, changes=LOOPS["ours"][1]), args.steps)),
    }
    write_result(args.out, result)
    print(json.dumps({"over_plain": result["over_plain"], **result["shares_of_a_step"]}))


if __name__ == "__main__":
    as_command(main)
