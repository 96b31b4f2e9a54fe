"""What the project costs beside the work itself.

- ``pipeline``: the pipeline beside a bare script of the same work, a run that computes nothing beside `zenml version`,
  `facerecon models` beside the import of MLflow. The work is that of ``configs/ci.yaml`` with more steps, so that it is
  not all start-up.
- ``waiting``: images a second of a training as the project starts it, with OpenMP threads that sleep while they wait
  where others take the cores, beside threads that always sleep, and those that always spin, as in GNU's library unless
  it is told; on an idle machine, and beside a busy process for each core.

Each side runs in a process of its own, in turn, as often as asked; ratios are of medians. Prints JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

WAITING: dict[str, dict[str, str]] = {
    "as_started": {},
    "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spinning": {"GOMP_SPINCOUNT": "300000"},
}
"""What tells GNU's OpenMP library how its threads wait; it spins so often where nothing is said."""


def bare(state: Path) -> None:
    """The library's functions in the order of the pipeline's steps, with no orchestrator and no tracker."""
    from facerecon.data.alignment import align
    from facerecon.data.ingest import ingest
    from facerecon.data.validation.check import validate
    from facerecon.data.validation.suites import resolve_suites
    from facerecon.experiment import Experiment
    from facerecon.export.onnx import export
    from facerecon.files import write_json
    from facerecon.run import parse_settings
    from facerecon.tasks import get_task
    from facerecon.weights import weights_path

    file = state / "run.yaml"
    settings = parse_settings(yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"], str(file))
    task = get_task(settings.task)
    values = {part: settings.values(*fields) for part, fields in task.fields.items()}
    photos = ingest(settings.data, PROJECT, state / "frames")
    faces = align(photos, settings.alignment, weights_path("face_landmarker"), state / "crops")
    faces = validate(faces, resolve_suites(settings.validation, PROJECT)).manifest
    cases = task.freeze_cases(values["cases"], faces, state / "masks")
    experiment = Experiment(task.name, values["training"], faces, cases)
    trained = experiment.train(state / "checkpoint", experiment.provenance)
    evaluation = task.evaluate(values["evaluation"], trained.best, faces, cases)
    inputs = task.parity_inputs(faces, cases, settings.onnx.parity_faces)
    exported = export(task.contract(trained.best), task.signature, inputs, {}, settings.onnx.min_parity_psnr)
    task.gate(values["gate"], faces, cases).measure(trained.best)
    (state / "model.onnx").write_bytes(exported.content)
    write_json(state / "metrics.json", [figure.as_dict() for figure in evaluation.scores.figures()])


def timed(command: list[str], environment: dict[str, str]) -> float:
    """Seconds that a command takes; its output is shown if it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


@contextmanager
def same_stack_afterwards() -> Iterator[None]:
    """Restore the checkout's active stack, which .zen names: each run registers a stack of its own."""
    active = PROJECT / ".zen" / "config.yaml"
    before = active.read_bytes() if active.is_file() else None
    try:
        yield
    finally:
        if before is not None:
            active.write_bytes(before)


def pipeline(repeats: int, steps: int) -> dict[str, Any]:
    """Seconds of each command, and their ratios."""
    settings: dict[str, Any] = yaml.safe_load((PROJECT / "configs" / "ci.yaml").read_text(encoding="utf-8"))
    settings["parameters"]["name"] = "overhead"
    settings["parameters"]["data"]["path"] = "data/sample"
    settings["parameters"]["data"]["max_faces"] = 100
    settings["parameters"]["training"] |= {"steps": steps, "validate_every": steps // 2}
    times: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="facerecon-overhead-") as name:
            state = Path(name)
            (state / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            environment = {
                "FACERECON_STATE": str(state / "state"),
                "FACERECON_OUTPUTS": str(state / "outputs"),
                "ZENML_CONFIG_PATH": str(state / "zenml"),
            }
            run = [str(BIN / "zenml"), "pipeline", "run", "training", "-c", str(state / "run.yaml")]
            timed([str(BIN / "facerecon"), "stack"], environment)
            script = [sys.executable, "-m", "benchmarks.overhead", "pipeline", "--side", str(state)]
            times["bare"].append(timed(script, {}))
            times["pipeline"].append(timed(run, environment))
            times["cached"].append(timed(run, environment))
            times["zenml_version"].append(timed([str(BIN / "zenml"), "version"], environment))
            times["models"].append(timed([str(BIN / "facerecon"), "models"], environment))
            times["import_mlflow"].append(timed([sys.executable, "-c", "import mlflow"], environment))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "seconds": times,
        "pipeline_over_bare": medians["pipeline"] / medians["bare"],
        "pipeline_minus_bare_seconds": medians["pipeline"] - medians["bare"],
        "cached_over_pipeline": medians["cached"] / medians["pipeline"],
        "cached_over_zenml_version": medians["cached"] / medians["zenml_version"],
        "models_over_import_mlflow": medians["models"] / medians["import_mlflow"],
    }


def train_plain(steps: int, state: Path) -> None:
    """Train a plain U-Net on the sample faces by pixels alone; print its images a second and its weights' digest."""
    from benchmarks.recipes import PLAIN, Recipe, faces_of, settings_of, train_ours
    from facerecon.corruption.frozen import build_mask_set
    from facerecon.data.settings import SplitShares

    off = {"training.losses.perceptual": 0.0, "training.losses.identity": 0.0, "training.validate_every": steps}
    settings = settings_of(Recipe(PLAIN, 1e-3, changes=off), steps)
    manifest = faces_of(PROJECT / "data" / "sample", "folder", state, 64, SplitShares(), None)
    masks = build_mask_set(state / "masks", 64, settings.masks.evaluation_families, settings.masks.levels, 8)
    with tempfile.TemporaryDirectory() as folder:
        trained, rate = train_ours(manifest, masks, settings, Path(folder), steps)
    print(json.dumps([rate, trained.digest]))


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can, meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def waiting(repeats: int, steps: int) -> dict[str, Any]:
    """Images a second of each side, and how many times as many the first two have as the one whose threads spin."""
    rates: dict[str, dict[str, list[float]]] = {"idle": defaultdict(list), "loaded": defaultdict(list)}
    digests: set[str] = set()
    # this process has decided for its own load already
    untold = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    with tempfile.TemporaryDirectory(prefix="facerecon-waiting-") as state:
        command = [sys.executable, "-m", "benchmarks.overhead", "waiting", "--steps", str(steps), "--side", state]
        for place, beside in (("idle", 0), ("loaded", os.cpu_count() or 1)) * repeats:
            for side, environment in WAITING.items():
                with busy_processes(beside):
                    said = subprocess.check_output(command, cwd=PROJECT, env=untold | environment, text=True)
                rate, digest = json.loads(said.splitlines()[-1])
                print(json.dumps({f"{place}, {side}": rate}), flush=True)
                rates[place][side].append(rate)
                digests.add(digest)
    return {
        "images_per_second": rates,
        "over_spinning": {
            place: {
                side: statistics.median(found[side]) / statistics.median(found["spinning"])
                for side in WAITING
                if side != "spinning"
            }
            for place, found in rates.items()
        },
        "same_weights": len(digests) == 1,
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("pipeline", "waiting"), nargs="?", default="pipeline")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of a training")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        bare(asked.side) if asked.what == "pipeline" else train_plain(asked.steps, asked.side)
        return
    with same_stack_afterwards():
        print(json.dumps((pipeline if asked.what == "pipeline" else waiting)(asked.repeats, asked.steps), indent=2))


if __name__ == "__main__":
    main()
