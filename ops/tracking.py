"""What a run tells MLflow: parameters, curves, figures, files and tags, under names that do not change."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from PIL import Image

from facerecon.config.run import RunSettings
from facerecon.evaluation.evaluate import METRICS, Evaluation
from facerecon.training.checkpoints import Row
from ops.lineage import uncommitted_diff
from ops.paths import PROJECT


def flat_parameters(settings: RunSettings) -> dict[str, Any]:
    """The settings as ``training.losses.hole: 6.0``: flat names, so that MLflow's table can compare them."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = ",".join(map(str, value)) if isinstance(value, list) else value

    walk("", settings.model_dump(mode="json"))
    return flat


def log_row(row: Row) -> None:
    """One point of the training curves."""
    mlflow.log_metrics({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))


def log_curves(history: list[Row]) -> None:
    """The curves of a training that another run did: a run served from the cache shows them too."""
    run = mlflow.active_run()
    if run and "loss/total" not in mlflow.get_run(run.info.run_id).data.metrics:
        for row in history:
            log_row(row)


def log_settings(settings: RunSettings, tags: dict[str, str]) -> None:
    """Parameters and tags of the run, its resolved settings, ``data.dvc`` and the uncommitted difference."""
    mlflow.set_tags(tags)
    mlflow.log_params(flat_parameters(settings))
    mlflow.log_dict(settings.model_dump(mode="json"), "settings.yaml")
    if (PROJECT / "data.dvc").is_file():
        mlflow.log_artifact(str(PROJECT / "data.dvc"))
    if diff := uncommitted_diff():
        mlflow.log_text(diff, "uncommitted.diff")


def figure_metrics(figures: dict[str, Any]) -> dict[str, float]:
    """The table as flat metrics, ``test/brush/level_2/model/hole_psnr``; figures that are infinite are left out."""
    flat = {}
    for row in figures["table"]:
        case = row["family"] if row["level"] is None else f"{row['family']}/level_{row['level']}"
        for metric in METRICS:
            if (summary := row.get(metric)) and summary["mean"] is not None:
                flat[f"test/{case}/{row['method']}/{metric}"] = float(summary["mean"])
    return flat


def best_metrics(history: list[Row]) -> dict[str, float]:
    """The validation figures of the best checkpoint as ``best_...``, so that runs compare by one number each."""
    validated = [row for row in history if "val/hole_l1" in row]
    best = min(validated, key=lambda row: row["val/hole_l1"])
    return {f"best_{name.removeprefix('val/')}": value for name, value in best.items() if name.startswith("val/")} | {
        "best_step": best["step"]
    }


def log_figures(evaluation: Evaluation, history: list[Row], gate: dict[str, float]) -> None:
    """Final figures of the run: test table, best validation, gate."""
    mlflow.log_metrics(figure_metrics(evaluation.figures) | best_metrics(history) | gate)


def log_grid(evaluation: Evaluation) -> None:
    """The sample images as one picture under a key that does not change, so that runs compare side by side."""
    mlflow.log_image(Image.fromarray(sample_grid(evaluation.samples)), "grids/test_brush.png")


def sample_grid(samples: dict[str, np.ndarray]) -> np.ndarray:
    """uint8 [rows, columns, 3]: per face original, corrupted (hole in magenta), reconstructed, Telea, error."""
    hole = samples["mask"][..., None] == 1
    corrupted = np.where(hole, np.array([255, 0, 255], np.uint8), samples["original"])
    # 64 of 255 is white: errors above look alike, smaller ones stay visible
    error = np.repeat(np.clip(samples["error"].astype(np.int16) * 4, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
    columns = (samples["original"], corrupted, samples["reconstructed"], samples["telea"], error)
    return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)


def log_folder(folder: Path) -> None:
    """Every file that the run publishes."""
    mlflow.log_artifacts(str(folder), "published")
