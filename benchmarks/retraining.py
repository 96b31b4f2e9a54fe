"""What a retraining costs beside a training.

- ``idle``: a retraining that finds nothing to do, beside a training of which all comes from the cache; beside it the
  look at an inbox of 10,000 known clips.
- ``training``: CPU seconds of a training from the champion, with its refitted prior, beside those of one anew, on the
  same faces; steps alone, in one process each, in turn.

Prints JSON. Faces are the demo's, drawn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.checkout import PROJECT, check_out

CONFIG = PROJECT / "configs" / "retraining.yaml"


def idle(repeats: int) -> dict[str, Any]:
    """Seconds of a cached training and of a retraining with nothing to do, in turn; medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = check_out(Path(folder))
        checkout.run(
            "facerecon", "sample", "--folder", "data/ci", "--identities", "12", "--photos", "2", "--size", "192"
        )
        parameters = yaml.safe_load((PROJECT / "configs" / "ci.yaml").read_text(encoding="utf-8"))["parameters"]
        parameters |= {"name": "again", "retraining": {}}
        file = checkout.root / "configs" / "again.yaml"
        file.write_text(yaml.safe_dump({"parameters": parameters}), encoding="utf-8")
        seconds: dict[str, list[float]] = {"training": [], "retraining": []}
        for _ in range(repeats + 1):
            for name, config in (("training", "ci"), ("retraining", "again")):
                seconds[name].append(checkout.run("zenml", "pipeline", "run", name, "-c", f"configs/{config}.yaml")[1])
    # the first run of each computes
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    looked = subprocess.run(
        [sys.executable, "-m", "benchmarks.inbox"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return {
        "cached_training_seconds": round(medians["training"], 1),
        "nothing_to_do_seconds": round(medians["retraining"], 1),
        "ratio": round(medians["retraining"] / medians["training"], 2),
        "inbox": json.loads(looked.stdout),
    }


def training(repeats: int) -> dict[str, Any]:
    """CPU seconds of training anew and from a champion; medians and their ratio."""
    seconds: dict[str, list[float]] = {"anew": [], "from_champion": []}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(repeats):
            for name in seconds:
                command = [sys.executable, "-m", "benchmarks.retraining", "train", name, folder, str(round_)]
                done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr[-2000:])
                seconds[name].append(float(done.stdout.splitlines()[-1]))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        **{f"{name}_cpu_seconds": round(value, 1) for name, value in medians.items()},
        "ratio": round(medians["from_champion"] / medians["anew"], 2),
    }


def train(name: str, folder: Path, round_: str) -> None:
    """Train by the shipped config, anew or as a retraining would from what was trained anew; print CPU seconds."""
    from dataclasses import replace

    import numpy as np

    from facerecon.data.alignment import align
    from facerecon.data.ingest import ingest
    from facerecon.experiment import Experiment
    from facerecon.models.trained import TrainedModel, save_model
    from facerecon.retraining.settings import retraining_run
    from facerecon.run import parse_as
    from facerecon.tasks import get_task
    from facerecon.weights import weights_path

    parameters = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["parameters"]
    wanted = parse_as(retraining_run, parameters, str(CONFIG))
    task = get_task(wanted.task)
    photos = ingest(wanted.data, PROJECT, folder / "frames")
    faces = align(photos, wanted.alignment, weights_path("face_landmarker"), folder / "crops")
    # as if every second person had been collected
    people = sorted(set(faces.faces["identity"]))
    collected = faces.faces["identity"].isin(people[::2])
    faces = replace(faces, faces=faces.faces.assign(source=np.where(collected, "collected", "folder")))
    champion = folder / "champion.safetensors"
    settings = wanted.training_run(None if name == "anew" else "champion.safetensors")
    cases = task.freeze_cases(settings.values(*task.fields["cases"]), faces, folder / "masks")
    initial = None if name == "anew" else TrainedModel.read(champion)
    experiment = Experiment(task.name, settings.values(*task.fields["training"]), faces, cases, initial)
    before = os.times()
    result = experiment.train(folder / f"{name}-{round_}", experiment.provenance)
    after = os.times()
    if name == "anew":
        save_model(champion, result.best)
    print(sum(after[:4]) - sum(before[:4]))


def main() -> None:
    """Run the benchmark that is asked for."""
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("idle", "training"))
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    print(json.dumps(idle(args.repeats) if args.what == "idle" else training(args.repeats), indent=2))


if __name__ == "__main__":
    main()
