"""Overhead: the pipeline beside a script that calls the same functions, and a fully cached run.

Each runs in a process and a state folder of its own; they take turns, ``--repeats`` times, and ratios are of medians.
The work is that of ``configs/ci.yaml`` with more training steps, so that start-up is not all of it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def bare(state: Path) -> None:
    """The library's functions in the order of the pipeline's steps, with no orchestrator and no tracker."""
    from facerecon.corruption.frozen import build_mask_set
    from facerecon.corruption.training_masks import TrainingMasks
    from facerecon.data.alignment import align
    from facerecon.data.ingest import ingest
    from facerecon.data.validation import resolve_suites, validate
    from facerecon.evaluation.evaluate import evaluate
    from facerecon.evaluation.gate import Gate
    from facerecon.export.onnx import export
    from facerecon.export.parity import parity_inputs
    from facerecon.files import write_json
    from facerecon.run import parse_settings
    from facerecon.training.loop import train
    from facerecon.weights import weights_path

    file = state / "run.yaml"
    settings = parse_settings(yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"], str(file))
    photos = ingest(settings.data, PROJECT, state / "frames")
    faces = align(photos, settings.alignment, weights_path("face_landmarker"), state / "crops")
    faces = validate(faces, resolve_suites(settings.validation, PROJECT)).manifest
    chosen = settings.masks
    masks = build_mask_set(
        state / "masks", faces.size, chosen.evaluation_families, chosen.levels, chosen.count, chosen.seed
    )
    draw = TrainingMasks(chosen, faces.size)
    folder = state / "checkpoint"
    trained = train(faces, masks, draw, settings.model, settings.training, settings.seed, folder, {})
    figures = evaluate(
        trained.best, faces, masks, settings.evaluation, chosen.evaluate_features, settings.training.losses.networks
    )
    images, holes = parity_inputs(faces, masks, settings.onnx.parity_faces)
    exported = export(trained.best, {}, images, holes, settings.onnx.min_parity_psnr)
    Gate(faces, masks, settings.promotion).measure(trained.best)
    (state / "model.onnx").write_bytes(exported.content)
    write_json(state / "metrics.json", figures.figures)


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


@same_stack_afterwards()
def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of the training")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare(arguments.bare)
        return
    settings: dict[str, Any] = yaml.safe_load((PROJECT / "configs" / "ci.yaml").read_text(encoding="utf-8"))
    settings["parameters"]["name"] = "overhead"
    settings["parameters"]["data"]["path"] = "data/sample"
    settings["parameters"]["data"]["max_faces"] = 100
    settings["parameters"]["training"] |= {"steps": arguments.steps, "validate_every": arguments.steps // 2}
    times: dict[str, list[float]] = {"bare": [], "pipeline": [], "cached": [], "cli_help": []}
    for _ in range(arguments.repeats):
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
            script = [sys.executable, "-m", "benchmarks.overhead", "--bare", str(state)]
            times["bare"].append(timed(script, {}))
            times["pipeline"].append(timed(run, environment))
            times["cached"].append(timed(run, environment))
            times["cli_help"].append(timed([str(BIN / "facerecon"), "--help"], {}))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        json.dumps(
            {
                "seconds": times,
                "pipeline_over_bare": medians["pipeline"] / medians["bare"],
                "pipeline_minus_bare_seconds": medians["pipeline"] - medians["bare"],
                "cached_over_pipeline": medians["cached"] / medians["pipeline"],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
