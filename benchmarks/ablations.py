"""Ablations: one setting changed at a time, in equal minutes of one machine, measured on people not trained on.

From the project's root: ``python -m benchmarks.ablations --photos data/lfw --source lfw``. Every row is a training of
``--minutes``; the most important rows have three seeds. ``--at-once`` trainings run side by side and share the cores
evenly. Figures are of the val split, since defaults are chosen by them. Rows in ``--out`` that were made under the same
conditions are not trained again (``--rows`` names some rows). Writes JSON and Markdown.
"""

import argparse
import json
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import side_by_side
from benchmarks.command import as_command
from benchmarks.inpainting import measured
from benchmarks.machine import describe_machine
from benchmarks.recipes import FEATURES, Recipe, code, evaluation_masks, faces_of, gmac, train_for, train_ours
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.settings import SplitShares
from facerecon.files import digest_of, write_text
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.evaluator import MaskCase, fill_by_model, mask_cases
from facerecon.tasks.inpainting.network import network_of
from facerecon.workspace import benchmarks_folder
from ops.code import code_digest

SHOWN = ("hole_psnr", "ssim", "lpips", "identity")
U_NET = {"family": "unet_attention", "options": {"features": FEATURES}}


@dataclass(frozen=True)
class Row(side_by_side.Row):
    """What is changed: family and options of the model, settings by dotted name, coarse share, curriculum, seeds."""

    model: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    coarse: float | None = None
    curriculum: str | None = None
    seeds: int = 1


ROWS = (
    Row("as it is", seeds=3),
    Row("smooth fill for the prior", model={"options": {"first_fill": "smooth"}}),
    Row("prior from the first step", model={"options": {"prior_from": 0}}),
    Row("U-Net with attention", model=U_NET, seeds=3),
    Row("U-Net without attention", model={**U_NET, "options": {"features": FEATURES, "attention": False}}, seeds=3),
    Row("folded", model={"options": {"fold": 2, "features": [32, 64, 128, 256]}}),
    Row("folded and half as wide", model={"options": {"fold": 2, "features": [16, 32, 64, 128]}}),
    Row("as wide as the U-Net", model={"options": {"features": FEATURES}}),
    Row("no coarse steps", coarse=0.0, seeds=3),
    Row("half of the steps coarse", coarse=0.5),
    Row("published curriculum", curriculum="published", seeds=3),
    Row("wide masks only", changes={"masks.training_families": ["brush", "boxes"]}),
    Row("scattered pixels only", changes={"masks.training_families": ["scatter", "noise"]}),
    Row("perceptual 0", changes={"training.losses.perceptual": 0}),
    Row("perceptual 2.0", changes={"training.losses.perceptual": 2.0}),
    Row(
        "perceptual by VGG (which judges LPIPS)",
        changes={"training.losses.perceptual_backbone": "vgg", "promotion.lpips_backbone": "alex"},
    ),
    Row("identity 0", changes={"training.losses.identity": 0}),
    Row("identity 0.5", changes={"training.losses.identity": 0.5}),
    Row("identity every 4th step", changes={"training.losses.identity_interval": 4}),
    Row("hole weight 1", changes={"training.losses.hole": 1.0}),
    Row("hole weight 20", changes={"training.losses.hole": 20.0}),
    Row("learning rate 2e-3", changes={"training.learning_rate": 2e-3}),
    Row("constant learning rate", changes={"training.final_learning_rate": 1e-3}),
    Row("running mean of the weights", changes={"training.ema_decay": 0.995}),
    Row("32 bits", changes={"training.precision": "32-true"}),
    Row("rotation by 15 degrees", changes={"training.augmentation.rotation": 15}),
)


def figures(trained: TrainedModel, faces: EvaluationFaces, cases: list[MaskCase]) -> dict[str, Any]:
    """Means over faces: on brush masks by level, and over the held-out family."""
    values = measured({"model": fill_by_model(network_of(trained))}, faces, cases)
    found: dict[str, Any] = {}
    for title, chosen in (
        *((f"brush {level}", [c for c in cases if (c.case, c.level) == ("brush", level)]) for level in (1, 2, 3)),
        ("held out", [c for c in cases if c.case == "held_out"]),
    ):
        if chosen:
            found[title] = {
                metric: float(np.mean(np.concatenate([values[c.case, c.level, "model", metric] for c in chosen])))
                for metric in SHOWN
            }
    return found


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown: mean and standard deviation over seeds, and the difference to the unchanged row."""
    shown = ("brush 2: hole PSNR", "brush 2: LPIPS", "brush 2: identity", "held out: hole PSNR")
    lines = [f"| changed | seeds | {' | '.join(shown)} | steps |", "|---" * 7 + "|"]
    unchanged: dict[tuple[str, str], float] = {}
    for row in result["rows"]:
        cells = []
        for case, metric, digits in (
            ("brush 2", "hole_psnr", 2),
            ("brush 2", "lpips", 4),
            ("brush 2", "identity", 3),
            ("held out", "hole_psnr", 2),
        ):
            values = [run["figures"][case][metric] for run in row["runs"]]
            mean = float(np.mean(values))
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            if row["name"] == ROWS[0].name:
                unchanged[case, metric] = mean
                delta = ""
            elif (case, metric) in unchanged:
                delta = f" ({mean - unchanged[case, metric]:+.{digits}f})"
            else:
                delta = ""
            cells.append(f"{mean:.{digits}f}{spread}{delta}")
        steps = round(float(np.mean([run["steps"] for run in row["runs"]])))
        lines.append(f"| {row['name']} | {len(row['runs'])} | {' | '.join(cells)} | {steps} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rows", default=",".join(row.name for row in ROWS), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=3, help="of rows that have several, at most")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--coarse", type=float, default=0.75)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--faces", type=int, default=120)
    parser.add_argument("--at-once", type=int, default=1, help="trainings side by side")
    parser.add_argument("--state", type=Path, default=benchmarks_folder())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablations.json"))
    args = parser.parse_args()
    by_name = {row.name: row for row in ROWS}
    names = [name.strip() for name in args.rows.split(",")]
    if unknown := [name for name in names if name not in by_name]:
        parser.error(f"--rows: {unknown[0]!r} not among {', '.join(by_name)}")
    chosen = [by_name[name] for name in names]

    threads = max(1, torch.get_num_threads() // args.at_once)
    manifest = faces_of(args.photos, args.source, args.state, args.size, SplitShares(), None)
    conditions = {
        "minutes": args.minutes,
        "size": args.size,
        "rate": args.rate,
        "coarse": args.coarse,
        "faces": min(args.faces, len(manifest.split("val"))),
        "data": manifest.digest,
        "rows": digest_of([asdict(row) for row in ROWS]),
        "code": digest_of([code(), code_digest("facerecon.tasks.inpainting.evaluator")]),
        "at_once": args.at_once,
        "machine": {**describe_machine(), "threads": threads},
    }
    tasks = [(row, seed) for row in chosen for seed in range(min(row.seeds, args.seeds))]
    work = partial(trained_and_measured, args=args)
    for result, row, run in side_by_side.train_rows(args.out, conditions, ROWS, tasks, work, args.at_once, threads):
        print(json.dumps({row.name: run["seed"], **run["figures"]["brush 2"]}), flush=True)
        write_text(args.out.with_suffix(".md"), table(result))
    print(args.out)


def trained_and_measured(row: Row, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One training of a row, and its figures on val."""
    manifest = faces_of(args.photos, args.source, args.state, args.size, SplitShares(), None)
    masks = evaluation_masks(args.state, args.size)
    recipe = Recipe(
        model={"family": "unet_fill", "options": {}} | row.model,
        rate=args.rate,
        coarse=args.coarse if row.coarse is None else row.coarse,
        curriculum=row.curriculum or "none",
        seed=seed,
        changes=row.changes,
    )
    name = f"ablation-{row.name.replace(' ', '_')}"
    trained, record = train_for(name, args.minutes, train_ours, recipe, (manifest, masks), args.state)
    faces = evaluation_faces(manifest, "val", args.faces)
    cases = [case for case in mask_cases(faces, masks) if case.case in ("brush", "held_out")]
    found = figures(trained, faces, cases)
    return {"seed": seed, **record, "gmac": gmac(trained), "figures": found}


if __name__ == "__main__":
    as_command(main)
