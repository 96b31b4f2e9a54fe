"""Training: this project's loop beside the plain recipe on the same network, and where a step's time goes.

From the project's root: ``python -m benchmarks.training``. Each side trains the same network with the same losses for
so many steps, in a process of its own, since what one asks of the memory allocator stays; one after the other, several
rounds. Sides are ``plain`` (see ``benchmarks.plain``), ``ours``, and ``ours_bf16``, the same in 16 bits
(``training.precision: bf16-mixed``), which is faster where the processor has instructions for it. Ratios are of the
medians. Writes JSON.
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

from benchmarks.command import as_command
from benchmarks.machine import about_machine
from benchmarks.plain import train_plainly
from benchmarks.recipes import PLAIN, Recipe, Train, faces_of, settings_of, train_ours
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.datasets import StepSampler, TrainingFaces, collate
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.files import write_json
from facerecon.models import build_model
from facerecon.run import RunSettings
from facerecon.training.losses import ReconstructionLoss
from facerecon.training.processes import keep_freed_memory

SIDES: dict[str, tuple[Train, dict[str, Any]]] = {
    "plain": (train_plainly, {}),
    "ours": (train_ours, {"training.precision": "32-true"}),
    "ours_bf16": (train_ours, {"training.precision": "bf16-mixed"}),
}
"""How each side trains, and what it changes."""


def once(side: str, manifest: Manifest, masks: MaskSet, recipe: Recipe, steps: int) -> float:
    """Images a second of one side, without validation."""
    train_it, changes = SIDES[side]
    settings = settings_of(replace(recipe, changes=changes), steps)
    with tempfile.TemporaryDirectory() as folder:
        _, rate = train_it(manifest, masks, settings, Path(folder), steps)
    return float(rate)


def speeds(rounds: int) -> dict[str, list[float]]:
    """Images a second of each side in each round, by this command in a process of its own for each."""
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, rates in found.items():
            command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--side", side]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rates.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps({side: rates[-1]}), flush=True)
    return found


def parts(manifest: Manifest, settings: RunSettings) -> dict[str, float]:
    """Shares of a step's time: its batch, forward, the loss with its networks, backward, the optimiser."""
    keep_freed_memory()
    training = settings.training
    faces = TrainingFaces(manifest, training.augmentation, TrainingMasks(settings.masks, manifest.size), settings.seed)
    torch.manual_seed(settings.seed)
    model = build_model(settings.model.family, settings.model.options).to(memory_format=torch.channels_last)
    criterion = ReconstructionLoss(training.losses)
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate, fused=True)
    spent: defaultdict[str, float] = defaultdict(float)
    since = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal since
        now = time.perf_counter()
        spent[name] += now - since
        since = now

    sampler = StepSampler(len(faces), training.batch_size, training.steps, settings.seed)
    for step, draws in enumerate(sampler):
        batch = collate(faces.__getitems__(draws))
        lap("batch")
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
    """Measure, write and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--model", type=json.loads, default=PLAIN, help="family and options, as JSON")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=48, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--state", type=Path, default=Path(".facerecon/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    manifest = faces_of(asked.photos, asked.source, asked.state, asked.size, SplitShares(), None)
    recipe, chosen = Recipe(asked.model, 1e-3, batch=asked.batch), MaskSettings()
    masks = build_mask_set(asked.state / "masks", asked.size, chosen.evaluation_families, chosen.levels, chosen.count)
    if asked.side:
        print(once(asked.side, manifest, masks, recipe, asked.steps))
        return
    rates = speeds(asked.rounds)
    result: dict[str, Any] = {
        "model": asked.model,
        "batch": asked.batch,
        "size": asked.size,
        "steps": asked.steps,
        "machine": about_machine(),
        "images_per_second": rates,
        "over_plain": {side: median(rates[side]) / median(rates["plain"]) for side in SIDES if side != "plain"},
        "shares_of_a_step": parts(manifest, settings_of(recipe, asked.steps)),
    }
    write_json(asked.out, result)
    print(json.dumps({"over_plain": result["over_plain"], **result["shares_of_a_step"]}))


if __name__ == "__main__":
    as_command(main)
