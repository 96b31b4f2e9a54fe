"""Ablations of landmarks: one setting changed at a time, equal minutes of one core, drawn people never seen.

From the project's root: ``python -m benchmarks.landmarks``, with the faces of configs/landmarks.yaml, which are drawn
where they are missing. ``--minutes`` are of CPU time in training steps, so that what else runs beside does not shorten
a row; what makes ready and validates comes on top. Rows in ``--out`` that were made under the same conditions are not
trained again. Milliseconds are of CPU time, too: a face after the other by ONNX Runtime on one thread. Writes JSON and
Markdown.
"""

import argparse
import json
from collections.abc import Callable
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
from benchmarks.recipes import aligned_faces
from benchmarks.side_by_side import Run
from facerecon.contract import LANDMARKS
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluation import TEST
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.experiment import Experiment
from facerecon.export.onnx import to_onnx
from facerecon.files import atomic_path, digest_of, write_text
from facerecon.models.trained import Row as Curve
from facerecon.models.trained import TrainedModel, TrainingResult
from facerecon.run import RunSettings, parse_settings
from facerecon.sessions import open_session
from facerecon.tasks import get_task
from facerecon.tasks.landmarks.baselines import MEAN
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.evaluator import Find, Found, Measured, find_by_model, measure, measured_faces
from facerecon.tasks.landmarks.export import contract, example
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import DEPTH, NME, NME_3D
from facerecon.tasks.landmarks.network import network_of
from facerecon.yaml_files import read_yaml
from ops.code import code_digest

CONFIG = "configs/landmarks.yaml"

PROBE, UNCOUNTED = 48, 16
"""Steps by which a row's speed is measured, without so many at its beginning."""

VALIDATIONS = 4
"""So often a training is validated, whatever its length."""

CALLS, ROUNDS = 200, 5
"""So many faces are timed, so often; the quickest round is told."""

CONTROL, PERCEPTRON = "control", "MLP"
LOSSES, OPTIONS = "training.losses", "model.options"


@dataclass(frozen=True)
class Row(side_by_side.Row):
    """What is changed in CONFIG, settings by their dotted names, and the row that it is set ``beside``."""

    changes: dict[str, Any] = field(default_factory=dict)
    beside: str = CONTROL


LOSS_ROWS = (
    Row(CONTROL),
    # as published, points and depth count alike
    Row("published loss", {f"{LOSSES}.kind": "mse_mae", f"{LOSSES}.depth": 1.0}),
    Row("wing", {f"{LOSSES}.kind": "wing"}),
    Row("points alone", {f"{LOSSES}.depth": 0}),
    Row("depth alone", {f"{LOSSES}.points": 0, f"{LOSSES}.confidence": 0}),
)
NETWORK_ROWS = (
    Row("MobileNetV2 from scratch", {f"{OPTIONS}.backbone": "mobilenet_v2"}),
    Row("regression", {f"{OPTIONS}.points": "regression"}),
    Row(PERCEPTRON, {f"{OPTIONS}.refine": "mlp"}),
    Row("graph", {f"{OPTIONS}.refine": "graph"}, beside=PERCEPTRON),
)
ROWS = (*LOSS_ROWS, *NETWORK_ROWS)

METRICS = (NME, NME_3D, DEPTH)

UNTAUGHT = {NME.name: f"{LOSSES}.points", NME_3D.name: f"{LOSSES}.points", DEPTH.name: f"{LOSSES}.depth"}
"""The weight of the loss without which a figure means nothing."""


def run_of(row: Row, seed: int, steps: int, every: int, args: argparse.Namespace) -> RunSettings:
    """The settings of a row's training of so many steps, validated after each ``every`` of them."""
    parameters = read_yaml(Path(CONFIG))["parameters"]
    named: dict[str, Any] = {"seed": seed, "data.path": str(args.photos.resolve()), "data.draw.people": args.people}
    named |= {"training.steps": steps, "training.warmup_steps": min(50, steps // 10), "training.validate_every": every}
    for name, value in (named | row.changes).items():
        *parents, last = name.split(".")
        place = parameters
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return parse_settings(parameters, CONFIG)


def data_of(args: argparse.Namespace) -> tuple[Manifest, LandmarkCases]:
    """Faces with their truth, and the frozen crops by which all rows are measured; what is in the state is reused."""
    settings = run_of(ROWS[0], 0, PROBE, PROBE, args)
    manifest, task = aligned_faces(settings, args.state), get_task(settings.task)
    frozen = task.freeze_cases(
        settings.values(*task.fields["cases"]), manifest, args.state / "cases" / settings.task / "benchmarks"
    )
    return manifest, cast(LandmarkCases, frozen)


def trained(
    settings: RunSettings, folder: Path, manifest: Manifest, cases: LandmarkCases, log: Callable[[Curve], None]
) -> TrainingResult:
    """Train as the settings say."""
    values = settings.values(*get_task(settings.task).fields["training"])
    experiment = Experiment(settings.task, values, manifest, cases)
    return experiment.train(folder, experiment.provenance, log)


def trained_and_measured(row: Row, seed: int, args: argparse.Namespace) -> Run:
    """One training of a row, and its figures; those of each face lie in the state."""
    manifest, cases = data_of(args)
    at: dict[int, float] = {}
    with TemporaryDirectory() as folder:
        probe = run_of(row, seed, PROBE + 1, PROBE + 1, args)
        trained(probe, Path(folder), manifest, cases, lambda curve: at.update({int(curve["step"]): process_time()}))
    cost = (at[PROBE] - at[UNCOUNTED]) / (PROBE - UNCOUNTED)
    steps = max(PROBE, int(60 * args.minutes / cost))
    with TemporaryDirectory() as folder:
        settings = run_of(row, seed, steps, -(-steps // VALIDATIONS), args)
        best = trained(settings, Path(folder), manifest, cases, lambda curve: None).best
    # drawn faces alone have an exact truth
    measured = measured_faces(manifest, cases, args.split, args.faces)[0]
    values, people = figures(best, measured, cases)
    arrays: dict[str, Any] = {**values, "identities": people}
    with atomic_path(values_of(row.name, seed, args)) as temporary:
        np.savez(temporary, **arrays)
    about = {"seed": seed, "steps": steps, "seconds_a_step": cost, "best_step": best.step, "ms": milliseconds(best)}
    return {**about, "figures": {name: float(each.mean()) for name, each in values.items()}}


def figures(
    model: TrainedModel, measured: Measured, cases: LandmarkCases
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """The figures of each face by ``key_of``, of the model and of the mean shape, and the faces' people by number."""
    methods: dict[str, Find] = {MODEL: find_by_model(network_of(model)), MEAN: mean_shape(model)}
    scores = measure("", methods, measured, cases)
    values = {
        key_of(preset, method, metric.name): scores.values(MetricKey("", metric.name, preset), method)
        for preset in (ALL, *cases.presets)
        for method in methods
        for metric in METRICS
        if (method, metric) != (MEAN, DEPTH)
    }
    # no name is kept
    people = np.unique(measured.faces.rows["identity"].to_numpy(str), return_inverse=True)[1]
    return values, people


def mean_shape(model: TrainedModel) -> Find:
    """The mean shape of the crops that a model was trained on, whatever the image shows."""
    points = (model.weights["mean_shape"].float() * model.size).numpy()
    return lambda images: Found(np.repeat(points[None], len(images), axis=0))


def milliseconds(model: TrainedModel) -> float:
    """CPU milliseconds of one face by ONNX Runtime on one thread."""
    inputs = example(model)
    # a dimension of the example that is 1 would be taken for a constant
    zeros = {name: np.zeros((2, *array.shape[1:]), np.float32) for name, array in inputs.items()}
    session = open_session(to_onnx(contract(model), LANDMARKS, zeros, {}), 1)
    rounds = []
    for _ in range(ROUNDS):
        since = process_time()
        for _ in range(CALLS):
            session.run(None, inputs)
        rounds.append(1000 * (process_time() - since) / CALLS)
    return min(rounds)


def key_of(preset: str, method: str, metric: str) -> str:
    """What a figure is called in the results."""
    return f"{preset}/{method}/{metric}"


def values_of(name: str, seed: int, args: argparse.Namespace) -> Path:
    """Where the figures of each face lie: tables that were made under other conditions have others."""
    return Path(args.state) / "landmarks" / f"{digest_of([args.conditions, name, seed])[:16]}.npz"


def compare(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Set each run beside its row's other with the same seed, or with seed 0, as far as that is known."""
    known = {row["name"]: [run["seed"] for run in row["runs"]] for row in result["rows"]}
    for row in result["rows"]:
        seeds = known.get(row["beside"], [])
        for run in row["runs"]:
            against = run["seed"] if run["seed"] in seeds else 0
            if row["name"] != row["beside"] and against in seeds:
                run["gains"] = side_by_side.gains(
                    values_of(row["name"], run["seed"], args), values_of(row["beside"], against, args)
                )


SHOWN = ((ALL, NME), ("", NME), (ALL, NME_3D), (ALL, DEPTH))
"""Conditions and metrics in the table; "" stands for each condition, without intervals."""


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown, those of other networks in a table of their own.

    Brackets hold the interval of the difference to the first row, of the graph's to the MLP's.
    """
    presets = result["conditions"]["presets"]
    columns = [(preset, metric, case == ALL) for case, metric in SHOWN for preset in ([case] if case else presets)]
    heads = [
        "mean NME" if (preset, metric) == (ALL, NME) else preset if not told else f"mean {metric.label}"
        for preset, metric, told in columns
    ]
    parts = []
    for rows, first in ((LOSS_ROWS, "learned otherwise"), (NETWORK_ROWS, "another network")):
        names = {row.name for row in rows} | {CONTROL}
        head = [first, "seed", *heads, "steps", "ms a face"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        shown = [row for row in result["rows"] if row["name"] in names]
        if shown:
            cells = [_mean_shape(shown[0]["runs"][0], preset, metric.name) for preset, metric, _ in columns]
            lines.append(f"| the mean shape |  | {' | '.join(cells)} |  |  |")
        for row in shown:
            for run in row["runs"]:
                cells = [_cell(row, run, *column) for column in columns]
                about = [row["name"], str(run["seed"]), *cells, str(run["steps"]), f"{run['ms']:.2f}"]
                lines.append(f"| {' | '.join(about)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _mean_shape(run: Run, preset: str, metric: str) -> str:
    value = run["figures"].get(key_of(preset, MEAN, metric))
    return "" if value is None else f"{value:.2f}"


def _cell(row: dict[str, Any], run: Run, preset: str, metric: Any, told: bool) -> str:
    """A figure, with its interval where it is ``told``; nothing where the row does not teach it."""
    if row["changes"].get(UNTAUGHT[metric.name]) == 0:
        return ""
    key = key_of(preset, MODEL, metric.name)
    value = f"{run['figures'][key]:.2f}"
    _, low, high = run.get("gains", {}).get(key, (None, None, None))
    return value if low is None or not told else f"{value} ({low:+.2f} to {high:+.2f})"


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    data = read_yaml(Path(CONFIG))["parameters"]["data"]
    parser.add_argument("--photos", type=Path, default=Path(data["path"]), help="drawn where they are missing")
    parser.add_argument("--people", type=int, default=data["draw"]["people"])
    side_by_side.add_options(parser, ROWS, "landmarks", minutes=3.0, split=TEST, faces=400)
    args = parser.parse_args()
    chosen = side_by_side.chosen_rows(parser, args.rows, ROWS)
    manifest, cases = data_of(args)
    measured = measured_faces(manifest, cases, args.split, args.faces)[0]
    conditions = {
        **{name: getattr(args, name) for name in ("minutes", "split", "at_once")},
        "faces": len(measured),
        "people": int(measured.faces.rows["identity"].nunique()),
        "presets": list(cases.presets),
        "data": manifest.digest,
        "cases": cases.digest,
        "rows": digest_of([[asdict(row) for row in ROWS], read_yaml(Path(CONFIG))]),
        "code": code_digest("facerecon.experiment", "facerecon.tasks.landmarks.training", "facerecon.models.multitask"),
        "machine": {**describe_machine(), "threads": max(1, torch.get_num_threads() // args.at_once)},
    }
    args.conditions = digest_of(conditions)
    tasks = [(row, seed) for seed in range(args.seeds) for row in chosen]
    work = partial(trained_and_measured, args=args)
    threads = conditions["machine"]["threads"]
    for result, row, run in side_by_side.train_rows(args.out, conditions, ROWS, tasks, work, args.at_once, threads):
        compare(result, args)
        write_result(args.out, result)
        write_text(args.out.with_suffix(".md"), table(result))
        told = {key_of(ALL, MODEL, metric.name): run["figures"][key_of(ALL, MODEL, metric.name)] for metric in METRICS}
        print(json.dumps({row.name: run["seed"], **told}), flush=True)
    print(args.out)


if __name__ == "__main__":
    as_command(main)
