"""Training: this project's loop beside the plain recipe on the same network, and where a step's time goes.

From the project's root: ``python -m benchmarks.training``. Both sides train the same network with the same losses for
so many steps, one after the other, several rounds; the ratio is of the medians. Writes JSON.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.plain import train_plainly
from benchmarks.recipes import PLAIN, Recipe, faces_of, settings_of, train_ours
from facerecon.config.data import SplitShares
from facerecon.config.run import RunSettings
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.datasets import StepSampler, TrainingFaces, collate
from facerecon.data.manifest import Manifest
from facerecon.files import write_json
from facerecon.models import build_model
from facerecon.training.losses import ReconstructionLoss


def speeds(manifest: Manifest, masks: MaskSet, settings: RunSettings, rounds: int) -> dict[str, list[float]]:
    """Images a second, without validation, of each side in each round."""
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        for name, train_it in (("plain", train_plainly), ("ours", train_ours)):
            with tempfile.TemporaryDirectory() as folder:
                _, rate = train_it(manifest, masks, settings, Path(folder), settings.training.steps)
            found[name].append(rate)
            print(json.dumps({name: rate}), flush=True)
    return found


def parts(manifest: Manifest, settings: RunSettings) -> dict[str, float]:
    """Shares of a step's time: its batch, forward, the loss with its networks, backward, the optimiser."""
    training = settings.training
    faces = TrainingFaces(manifest, training.augmentation, TrainingMasks(settings.masks, manifest.size), settings.seed)
    torch.manual_seed(settings.seed)
    model = build_model(settings.model.family, settings.model.options).to(memory_format=torch.channels_last)
    criterion = ReconstructionLoss(training.losses)
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate)
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
    asked = parser.parse_args()
    manifest = faces_of(asked.photos, asked.source, asked.state, asked.size, SplitShares(), None)
    settings = settings_of(Recipe(asked.model, 1e-3, batch=asked.batch), asked.steps)
    chosen = settings.masks
    masks = build_mask_set(asked.state / "masks", asked.size, chosen.evaluation_families, chosen.levels, chosen.count)
    rates = speeds(manifest, masks, settings, asked.rounds)
    result: dict[str, Any] = {
        "model": asked.model,
        "batch": asked.batch,
        "size": asked.size,
        "threads": torch.get_num_threads(),
        "images_per_second": rates,
        "ratio": median(rates["ours"]) / median(rates["plain"]),
        "shares_of_a_step": parts(manifest, settings),
    }
    write_json(asked.out, result)
    print(json.dumps({"ratio": result["ratio"], **result["shares_of_a_step"]}))


if __name__ == "__main__":
    main()
