"""Quality at equal cost: the same faces, frozen masks, loss and minutes of one machine for every recipe.

From the project's root: ``python -m benchmarks.quality --photos data/lfw --source lfw --minutes 15``. Recipes:

- ``plain``: see ``benchmarks.plain``;
- ``plain_tuned``: the same network with this project's data path and loop, its learning rate chosen on val;
- ``ours``: the family given by ``--family``, first on images of half the size;
- ``ours_third``: the same in a third of the minutes;
- ``ours_small``: its variant ``small`` in a third of the minutes.

Baselines without training: Telea, Navier-Stokes, mean fill, a smooth fill, and the prior of ``ours``. People of the
test split are in no training. Trainings are cached under ``--state``, so that an interrupted comparison resumes; models
are written to ``models`` there. Writes JSON, Markdown and a plot.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from benchmarks.command import as_command, write_result
from benchmarks.inpainting import JUDGES, METRICS, InpaintingRun, measured
from benchmarks.machine import describe_machine
from benchmarks.plain import LEARNING_RATE, train_plainly
from benchmarks.plots import plot_quality
from benchmarks.recipes import (
    LOSSES,
    PLAIN,
    Recipe,
    code,
    evaluation_masks,
    faces_of,
    gmac,
    settings_of,
    train_for,
    train_ours,
    val_error,
)
from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.errors import DivergedError, FaceReconError
from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.metrics import from_uint8, to_uint8
from facerecon.evaluation.scores import summarise
from facerecon.files import write_text
from facerecon.models.layers.face_prior import FacePrior
from facerecon.models.layers.first_fill import first_fill
from facerecon.models.trained import TrainedModel, save_model
from facerecon.settings import first_problem
from facerecon.tasks.inpainting.baselines import fill_by_baseline
from facerecon.tasks.inpainting.evaluator import Fill, Filled, as_tensor, fill_by_model, mask_cases
from facerecon.tasks.inpainting.network import network_of
from facerecon.training.precision import precision_of
from facerecon.workspace import benchmarks_folder

RATES = (1e-3, 2e-3, 4e-3)
COST_KEYS = ("minutes", "images_per_second", "gmac")
OPPONENTS = ("prior_alone", "plain", "plain_tuned")
"""Methods over which the gain of ours is measured."""
THIRD = ("ours_third", "ours_small")
"""Recipes that get a third of the minutes."""

FirstFill = Callable[[Tensor], Tensor]
"""Images with holes of 0 and masks [N, 4, H, W] -> filled images [N, 3, H, W]."""


def fill_only(fill: FirstFill, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Filled:
    """The fill that a network starts from, as a method of its own."""
    image, mask = from_uint8(images), as_tensor(masks)
    with torch.inference_mode():
        filled = fill(torch.cat((image * (1 - mask), mask), dim=1))
    return Filled(to_uint8(torch.where(mask > 0.5, filled, image)), torch.ones(len(image), dtype=torch.bool))


def compare(methods: dict[str, Fill], manifest: Manifest, masks: MaskSet, most: int) -> dict[str, Any]:
    """A row for each mask case and method, and the gains of ours over ``OPPONENTS`` with their intervals."""
    faces = evaluation_faces(manifest, "test", most)
    cases = mask_cases(faces, masks)
    values = measured(methods, faces, cases)
    people = faces.rows["identity"].to_numpy()
    rows, gains = [], []
    for case in cases:
        names = {"family": case.case, "level": case.level}
        for method in methods:
            summaries = {m: asdict(summarise(values[case.case, case.level, method, m])) for m in METRICS}
            rows.append({"method": method, **names, **summaries})
        for other in (name for name in OPPONENTS if name in methods and "ours" in methods):
            gain: dict[str, Any] = {"over": other, **names}
            for metric in METRICS:
                mine, theirs = (values[case.case, case.level, method, metric] for method in ("ours", other))
                interval = paired_interval(mine - theirs, people, 2000, 0.95, seed=0)
                gain[metric] = {"mean": interval.mean, "low": interval.low, "high": interval.high}
            gains.append(gain)
    return {"faces": len(faces), "identities": len(set(people)), "rows": rows, "gains": gains}


def table(result: dict[str, Any]) -> str:
    """As Markdown: the cost of each recipe; for each set of faces, hole PSNR, LPIPS and identity.

    The last column is the gain of ours over the stronger plain recipe.
    """
    lines = ["| recipe | steps | minutes | images/s | GMAC | learning rate | precision |", "|---" * 7 + "|"]
    for name, recipe in result["recipes"].items():
        cost = (f"{recipe[key]:.3g}" for key in COST_KEYS)
        about = (name, recipe["steps"], *cost, recipe["rate"], recipe["precision"])
        lines.append(f"| {' | '.join(map(str, about))} |")
    lines.append("")
    for title, found in result["sets"].items():
        rows = {(row["family"], row["level"], row["method"]): row for row in found["rows"]}
        methods = list(dict.fromkeys(method for _, _, method in rows))
        kinds = list(dict.fromkeys((family, level) for family, level, _ in rows))
        lines += [f"### {title}: {found['faces']} faces of {found['identities']} people", ""]
        for metric, label, digits, sign in (
            ("hole_psnr", "hole PSNR, dB", 2, 1),
            ("lpips", "LPIPS", 3, -1),
            ("identity", "identity, cosine", 3, 1),
        ):
            lines += [f"| {label} | {' | '.join(methods)} | ours over the stronger plain one |"]
            lines += ["|---" * (len(methods) + 2) + "|"]
            for kind in kinds:
                means = {method: rows[*kind, method][metric]["mean"] for method in methods}
                gains = {
                    gain["over"]: gain[metric] for gain in found["gains"] if (gain["family"], gain["level"]) == kind
                }
                plain = [method for method in ("plain", "plain_tuned") if method in gains]
                shown = ""
                if plain:
                    stronger = gains[max(plain, key=lambda method: sign * means[method])]
                    ends = [stronger[end] for end in ("low", "high") if stronger[end] is not None]
                    shown = f"{stronger['mean']:+.{digits}f}"
                    shown += f" ({' to '.join(f'{end:+.{digits}f}' for end in ends)})" if ends else ""
                cells = " | ".join(f"{means[method]:.{digits}f}" for method in methods)
                lines.append(f"| {kind[0]} {kind[1]} | {cells} | {shown} |")
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--second", type=Path, help="a folder of other faces, only measured")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--tune-minutes", type=float, default=0.0, help="for each learning rate; 0: none is tried")
    parser.add_argument("--tune", default="plain_tuned,ours", help="recipes whose learning rate is chosen on val")
    parser.add_argument("--recipes", default="plain,plain_tuned,ours,ours_third,ours_small")
    parser.add_argument("--family", default="unet_fill")
    parser.add_argument("--options", type=json.loads, default={}, help="of the family, as JSON")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="of recipes whose learning rate is not tuned")
    parser.add_argument("--coarse", type=float, default=0.75, help="of ours: share of steps on images of half the size")
    parser.add_argument("--curriculum", default="none", choices=["none", "published"])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--faces", type=int, default=200, help="of each set that are measured")
    parser.add_argument("--most", type=int, help="photos of the folder, at most, chosen by hash")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=benchmarks_folder())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    args = parser.parse_args()

    ours = {"family": args.family, "options": args.options}
    small = {**ours, "variant": "small"}
    networks = {"plain": PLAIN, "plain_tuned": PLAIN, "ours": ours, "ours_third": ours, "ours_small": small}
    chosen: dict[str, Recipe] = {}
    for name in args.recipes.split(","):
        if name not in networks:
            parser.error(f"--recipes: {name!r} not among {', '.join(networks)}")
        chosen[name] = Recipe(
            model=networks[name],
            rate=LEARNING_RATE if name == "plain" else args.rate,
            coarse=args.coarse if name.startswith("ours") else 0.0,
            curriculum=args.curriculum,
            batch=args.batch,
            seed=args.seed,
        )
        try:
            settings_of(chosen[name], 1)
        except ValidationError as error:  # before hours of training
            parser.error(f"{name}: {first_problem(error, 'settings', InpaintingRun)}")

    manifest = faces_of(args.photos, args.source, args.state, args.size, SplitShares(), args.most)
    masks = evaluation_masks(args.state, args.size)
    data = manifest, masks

    def best_rate(name: str, recipe: Recipe) -> tuple[Recipe, dict[str, float]]:
        if not args.tune_minutes or name not in args.tune.split(","):
            return recipe, {}
        errors = {}
        for rate in RATES:
            try:
                trained, _ = train_for(
                    name, args.tune_minutes, train_ours, replace(recipe, rate=rate), data, args.state
                )
            except DivergedError:
                continue  # too high a rate
            errors[f"{rate:g}"] = val_error(trained, manifest, masks)
            print(json.dumps({name: {"val_hole_l1": errors}}), flush=True)
        if not errors:
            raise FaceReconError(f"{name}: diverges at each of the learning rates {RATES}")
        return replace(recipe, rate=float(min(errors, key=errors.__getitem__))), errors

    recipes: dict[str, Any] = {}
    models: dict[str, TrainedModel] = {}
    for name, recipe in chosen.items():
        errors: dict[str, float] = {}
        if name in THIRD and "ours" in recipes:
            recipe = replace(recipe, rate=recipes["ours"]["rate"])
        else:
            recipe, errors = best_rate(name, recipe)
        how = train_plainly if name == "plain" else train_ours
        minutes = args.minutes / 3 if name in THIRD else args.minutes
        models[name], record = train_for(name, minutes, how, recipe, data, args.state)
        save_model(args.state / "models" / f"{name}.safetensors", models[name])
        recipes[name] = {
            **asdict(recipe),
            "options": models[name].options,
            "precision": "32-true" if name == "plain" else precision_of(settings_of(recipe, 1).training),
            "parameters": sum(value.numel() for value in models[name].weights.values()),
            "gmac": gmac(models[name]),
            "val_hole_l1_by_rate": errors,
            **record,
        }
        print(json.dumps({name: recipes[name]}), flush=True)

    methods: dict[str, Fill] = {name: fill_by_baseline(name) for name in ("telea", "navier_stokes", "mean_fill")}
    methods["smooth_fill"] = partial(fill_only, first_fill)
    built = {name: network_of(trained) for name, trained in models.items()}
    if isinstance(prior := getattr(built.get("ours"), "prior", None), FacePrior):
        methods["prior_alone"] = partial(fill_only, prior)
    methods |= {name: fill_by_model(model) for name, model in built.items()}
    sets = {"people never seen": compare(methods, manifest, masks, args.faces)}
    if args.second:
        everyone = SplitShares(train=0, val=0, gate=0, test=1)
        other = faces_of(args.second, "folder", args.state, args.size, everyone, None)
        sets["another set"] = compare(methods, other, masks, args.faces)
    result = {
        "machine": describe_machine(),
        "minutes": args.minutes,
        "size": args.size,
        "code": code(),
        "masks": masks.digest,
        "judges": JUDGES.model_dump(include={"lpips_backbone", "identity_network"}),
        "losses": InpaintingRun.model_validate({"training": {"losses": LOSSES}}).training.losses.model_dump(),
        "curriculum": args.curriculum,
        "trained_on": {
            "photos": len(manifest.split("train")),
            "people": int(manifest.split("train")["identity"].nunique()),
            "manifest": manifest.digest,
        },
        "recipes": recipes,
        "sets": sets,
    }
    write_result(args.out, result)
    write_text(args.out.with_suffix(".md"), table(result))
    plot_quality(result, args.out.with_suffix(".png"))
    print(args.out)


if __name__ == "__main__":
    as_command(main)
