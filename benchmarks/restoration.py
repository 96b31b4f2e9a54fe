"""Ablations of restoration: one setting changed at a time, equal minutes of one core, people not trained on.

From the project's root: ``python -m benchmarks.restoration --photos data/lfw --source lfw --start restoration@newest``.
Rows of the first part are trained from scratch by configs/restoration.yaml, those of the second by
configs/frame_fusion.yaml from the weights of ``--start``, as ``training.init_from`` names them. ``--minutes`` are of
CPU time in training steps, so that what else runs beside does not shorten a row; what makes ready and validates comes
on top. Rows in ``--out`` that were made under the same conditions are not trained again. Writes JSON and Markdown.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import side_by_side
from benchmarks.command import as_command, write_result
from benchmarks.machine import describe_machine
from benchmarks.recipes import faces_of
from benchmarks.side_by_side import Run
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.evaluation.image_metrics import WHOLE_PSNR, identity, lpips
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.experiment import Experiment
from facerecon.files import atomic_path, digest_of, write_text
from facerecon.models.trained import Row as Curve
from facerecon.models.trained import TrainingResult
from facerecon.run import RunSettings, parse_settings
from facerecon.tasks import get_task
from facerecon.tasks.restoration.baselines import by, unchanged
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.evaluation_settings import RestorationEvaluationSettings
from facerecon.tasks.restoration.evaluator import measure, restore_by_model
from facerecon.tasks.restoration.gate_settings import INPUT
from facerecon.tasks.restoration.network import network_of
from facerecon.yaml_files import read_yaml
from ops.code import code_digest
from ops.initial_weights import InitialWeights, resolve

PROBE, UNCOUNTED = 48, 16
"""Steps by which a row's speed is measured, without so many at its beginning: all losses come within sixteen, equally
often in what is counted."""

VALIDATIONS = 4
"""So often a training is validated, whatever its length."""

SCRATCH, ON = "configs/restoration.yaml", "configs/frame_fusion.yaml"
FPN = {"model.family": "fpn", "training.precision": "32-true"}
BY = "training.adversarial"


@dataclass(frozen=True)
class Row(side_by_side.Row):
    """What is changed in ``config``, settings by their dotted names; a row with several seeds says how many."""

    config: str
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: int = 1


SCRATCH_ROWS = (
    Row("U-Net", SCRATCH),
    Row("instance norm", SCRATCH, {"model.options": {"norm": "instance"}}),
    Row("32 bits", SCRATCH, {"training.precision": "32-true"}),
    Row("FPN on MobileNetV2", SCRATCH, FPN),
    Row("FPN on EfficientNet-Lite0", SCRATCH, {**FPN, "model.options": {"backbone": "efficientnet_lite0"}}),
    Row("perceptual 0", SCRATCH, {"training.losses.perceptual": 0}),
    Row("perceptual 0.1", SCRATCH, {"training.losses.perceptual": 0.1}),
    Row("perceptual 1", SCRATCH, {"training.losses.perceptual": 1.0}),
    Row("identity 0", SCRATCH, {"training.losses.identity": 0}),
    Row("no curriculum", SCRATCH, {"degradations.curriculum": 0}),
    Row("not trained on cctv_train", SCRATCH, {"degradations.training": ["mild", "motion", "gfpgan"]}),
)
NO_ADVERSARY, ADVERSARY = "no adversary", "adversary"
ON_ROWS = (
    Row(NO_ADVERSARY, ON, {BY: None}, seeds=2),
    Row(ADVERSARY, ON, seeds=2),
    Row("weight 0.1", ON, {f"{BY}.weight": 0.1}),
    Row("hinge", ON, {f"{BY}.loss": "hinge"}),
    Row("both norms instance", ON, {f"{BY}.whole_norm": "instance"}),
    Row("no norm", ON, {f"{BY}.whole_norm": "none", f"{BY}.patch_norm": "none"}),
    Row("no penalty", ON, {f"{BY}.penalty": "none"}),
    Row(
        "WGAN-GP on both norms as published",
        ON,
        {f"{BY}.penalty": "wgan_gp", f"{BY}.penalty_on": "both", f"{BY}.as_published": True},
    ),
    Row("no noise", ON, {f"{BY}.noise": 0}),
    Row("batches of 16 not accumulated", ON, {"training.batch_size": 16, "training.accumulate": 1}),
)
ROWS = (*SCRATCH_ROWS, *ON_ROWS)
FIRST = {SCRATCH: SCRATCH_ROWS[0].name, ON: NO_ADVERSARY}
"""The row that the others of its part are set beside."""

TOLD = {
    "discriminator_accuracy": "val/discriminator_accuracy",
    "adversarial_share": "loss/adversarial_share",
}
"""What a discriminator's training tells, by its name in the curves: means over them; None without one."""

JUDGES = RestorationEvaluationSettings()
METRICS = (WHOLE_PSNR, lpips(JUDGES.lpips_backbone), identity(JUDGES.identity_network))
SHOWN = (("motion", 0), ("motion", 1), ("motion", 2), ("gfpgan", 1), ("cctv", 1))
"""Degradations and the place of the metric among METRICS, in the table."""

DIGITS = (2, 4, 4)
PRINTED = (("motion", MODEL, 0), ("motion", MODEL, 1))


def run_of(row: Row, seed: int, steps: int, every: int, args: argparse.Namespace) -> RunSettings:
    """The settings of a row's training of so many steps, validated after each ``every`` of them."""
    parameters = read_yaml(Path(row.config))["parameters"]
    named: dict[str, Any] = {"seed": seed, "alignment.size": args.size, "training.steps": steps}
    named |= {"training.warmup_steps": min(50, steps // 10), "training.validate_every": every}
    if row.config == ON:
        named["training.init_from"] = args.start
    for name, value in (named | row.changes).items():
        *parents, last = name.split(".")
        place = parameters
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return parse_settings(parameters, row.config)


def data_of(args: argparse.Namespace) -> tuple[Manifest, DegradedCases]:
    """Aligned faces, and their frozen degradations by which all rows are measured; what is in the state is reused."""
    manifest = faces_of(args.photos, args.source, args.state, args.size, SplitShares(), None)
    settings = parse_settings(read_yaml(Path(SCRATCH))["parameters"], SCRATCH)
    task = get_task(settings.task)
    # without what the config's evaluation asks for besides: it is not measured here
    fields = (name for name in task.fields["cases"] if name != "evaluation")
    frozen = task.freeze_cases(settings.values(*fields), manifest, args.state / "cases" / settings.task / "benchmarks")
    return manifest, cast(DegradedCases, frozen)


def trained(
    settings: RunSettings, folder: Path, args: argparse.Namespace, log: Callable[[Curve], None]
) -> TrainingResult:
    """Train as the settings say, the second part from the weights that ``--start`` named when the table was begun."""
    manifest, cases = data_of(args)
    initial: InitialWeights | None = None if settings.training.init_from is None else args.initial
    values = settings.values(*get_task(settings.task).fields["training"])
    experiment = Experiment(settings.task, values, manifest, cases, None if initial is None else initial.load())
    return experiment.train(folder, experiment.provenance, log)


def seconds_a_step(row: Row, args: argparse.Namespace) -> float:
    """CPU seconds of a training step of a row, without validations."""
    at: dict[int, float] = {}
    settings = run_of(row, 0, PROBE + 1, PROBE + 1, args)
    with TemporaryDirectory() as folder:
        trained(settings, Path(folder), args, lambda curve: at.update({int(curve["step"]): process_time()}))
    return (at[PROBE] - at[UNCOUNTED]) / (PROBE - UNCOUNTED)


def trained_and_measured(row: Row, seed: int, args: argparse.Namespace) -> Run:
    """One training of a row, and its figures; those of each face lie in the state."""
    manifest, cases = data_of(args)
    cost = seconds_a_step(row, args)
    steps = max(PROBE, int(60 * args.minutes / cost))
    with TemporaryDirectory() as folder:
        settings = run_of(row, seed, steps, -(-steps // VALIDATIONS), args)
        result = trained(settings, Path(folder), args, lambda curve: None)
    faces = evaluation_faces(manifest, args.split, args.faces)
    judges = Judges(*METRICS[1:])
    methods = {MODEL: restore_by_model(network_of(result.best)), INPUT: by(unchanged, args.size)}
    scores = measure("", dict.fromkeys(cases.presets, methods), faces, cases, METRICS, judges)
    values: dict[str, NDArray[np.float64]] = {
        f"{preset}/{method}/{metric.name}": scores.values(MetricKey("", metric.name, preset), method)
        for preset in cases.presets
        for method in methods
        for metric in METRICS
    }
    # people by number: no name is kept
    people = np.unique(faces.rows["identity"].to_numpy(str), return_inverse=True)[1]
    arrays: dict[str, Any] = {**values, "identities": people}
    with atomic_path(values_of(row.name, seed, args)) as temporary:
        np.savez(temporary, **arrays)
    about = {"seed": seed, "steps": steps, "seconds_a_step": cost, "best_step": result.best.step}
    told = {name: _mean(result.history, key) for name, key in TOLD.items()}
    return {**about, **told, "figures": {name: float(each.mean()) for name, each in values.items()}}


def values_of(name: str, seed: int, args: argparse.Namespace) -> Path:
    """Where the figures of each face lie: tables that were made under other conditions have others."""
    return Path(args.state) / "restoration" / f"{digest_of([args.conditions, name, seed])[:16]}.npz"


def _mean(history: Sequence[Curve], key: str) -> float | None:
    found = [float(row[key]) for row in history if key in row]
    return sum(found) / len(found) if found else None


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown, a part under its first row; brackets hold the interval of the difference to that row."""
    heads = [f"{preset}: {METRICS[place].label}" for preset, place in SHOWN]
    lines = [f"| changed | seed | {' | '.join(heads)} | steps | told apart | share |", "|---" * (len(heads) + 5) + "|"]
    if result["rows"]:
        figures = result["rows"][0]["runs"][0]["figures"]
        cells = [f"{figures[_key(preset, INPUT, place)]:.{DIGITS[place]}f}" for preset, place in SHOWN]
        lines.append(f"| the input |  | {' | '.join(cells)} |  |  |  |")
    for row in result["rows"]:
        for run in row["runs"]:
            cells = [_cell(run, preset, place) for preset, place in SHOWN]
            told = ["" if run[name] is None else f"{run[name]:.2f}" for name in TOLD]
            about = [row["name"], str(run["seed"]), *cells, str(run["steps"]), *told]
            lines.append(f"| {' | '.join(about)} |")
    return "\n".join(lines) + "\n"


def _key(preset: str, method: str, place: int) -> str:
    return f"{preset}/{method}/{METRICS[place].name}"


def _cell(run: Run, preset: str, place: int) -> str:
    key, digits = _key(preset, MODEL, place), DIGITS[place]
    value = f"{run['figures'][key]:.{digits}f}"
    _, low, high = run.get("gains", {}).get(key, (None, None, None))
    return value if low is None else f"{value} ({low:+.{digits}f} to {high:+.{digits}f})"


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--source", default="folder")
    parser.add_argument("--start", default="restoration@newest", help="weights that the second part starts from")
    parser.add_argument("--size", type=int, default=64)
    side_by_side.add_options(parser, ROWS, "restoration", minutes=4.0, split="val", faces=200)
    args = parser.parse_args()
    # the first row of a part first: the others are set beside it
    chosen = side_by_side.chosen_rows(parser, args.rows, ROWS)
    chosen = sorted(chosen, key=lambda row: row.name not in FIRST.values())
    manifest, cases = data_of(args)
    conditions = {
        **{name: getattr(args, name) for name in ("minutes", "size", "split", "faces", "at_once")},
        "data": manifest.digest,
        "cases": cases.digest,
        "rows": digest_of([[asdict(row), read_yaml(Path(row.config))] for row in ROWS]),
        "code": code_digest("facerecon.experiment", "facerecon.tasks.restoration.training"),
        "machine": {**describe_machine(), "threads": max(1, torch.get_num_threads() // args.at_once)},
    }
    if any(row.config == ON for row in chosen):
        initial = resolve(run_of(ON_ROWS[0], 0, PROBE, PROBE, args))
        assert initial is not None
        args.initial, conditions["start"] = initial, initial.digest
    args.conditions = digest_of(conditions)
    tasks = [(row, seed) for row in chosen for seed in range(min(row.seeds, args.seeds))]
    work = partial(trained_and_measured, args=args)
    threads = conditions["machine"]["threads"]
    for result, row, run in side_by_side.train_rows(args.out, conditions, ROWS, tasks, work, args.at_once, threads):
        compare(result, args)
        write_result(args.out, result)
        write_text(args.out.with_suffix(".md"), table(result))
        told = {_key(*each): run["figures"][_key(*each)] for each in PRINTED}
        print(json.dumps({row.name: run["seed"], **told}), flush=True)
    print(args.out)


def compare(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Set each run beside its part's first row with the same seed, or with seed 0, as far as that is known."""
    known = {row["name"]: [run["seed"] for run in row["runs"]] for row in result["rows"]}
    for row in result["rows"]:
        first = FIRST[row["config"]]
        for run in row["runs"]:
            seeds = known.get(first, [])
            against = run["seed"] if run["seed"] in seeds else 0
            if row["name"] != first and against in seeds:
                run["gains"] = side_by_side.gains(
                    values_of(row["name"], run["seed"], args), values_of(first, against, args)
                )


if __name__ == "__main__":
    as_command(main)
