"""What a run tells MLflow: parameters, curves, figures, files and tags, under names that do not change."""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from PIL import Image

from facerecon.data.manifest import SPLITS, Manifest
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.evaluate import Evaluation
from facerecon.evaluation.measuring import METRICS
from facerecon.files import digest_of
from facerecon.report.tables import MAIN_FAMILY
from facerecon.run import RunSettings
from facerecon.training.checkpoints import Row
from facerecon.workspace import PROJECT
from ops.lineage import uncommitted_diff

DATA_DOCS = "data_docs"
"""The folder of the Data Docs, in what a run publishes and in MLflow."""


def flat_parameters(settings: RunSettings) -> dict[str, Any]:
    """The settings as ``training.losses.hole: 6.0``: flat names, so that MLflow's table can compare them."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = ",".join(map(str, value)) if isinstance(value, list) else value

    walk("", settings.model_dump(mode="json", exclude={"validation": {"suites"}}))
    # the suites stand in settings.yaml; here it is enough that runs with other ones differ
    suites = settings.validation.suites
    return flat | {"validation.suites": suites if isinstance(suites, str) else digest_of(suites)}


def log_settings(settings: RunSettings, tags: dict[str, str]) -> None:
    """Parameters and tags of the run, its resolved settings, ``data.dvc`` and the uncommitted difference."""
    mlflow.set_tags(tags)
    mlflow.log_params(flat_parameters(settings))
    mlflow.log_dict(settings.model_dump(mode="json"), "settings.yaml")
    if (PROJECT / "data.dvc").is_file():
        mlflow.log_artifact(str(PROJECT / "data.dvc"))
    if diff := uncommitted_diff():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "uncommitted.diff"
            path.write_bytes(diff.encode("utf-8", "surrogateescape"))
            mlflow.log_artifact(str(path))


def log_data(faces: Manifest, settings: RunSettings) -> None:
    """The faces of each split as inputs of the run, known by their content."""
    source = LocalArtifactDatasetSource(faces.root)
    for split in SPLITS:
        rows = faces.split(split)[["face", "crop_sha256"]]
        if rows.empty:
            continue
        # MLflow keeps 36 characters of a digest
        digest = digest_of(rows.to_dict("list"))[:36]
        name = f"{settings.data.source}-{Path(settings.data.path).name}-{split}"
        data = mlflow.data.from_pandas(rows, source=source, name=name, digest=digest)  # type: ignore[attr-defined]
        mlflow.log_input(data, context=split)


def figure_metrics(figures: dict[str, Any]) -> dict[str, float]:
    """The model's figures as flat metrics under names that do not change; ``metrics.json`` has all there are.

    ``test/hole_psnr/<case>`` and ``test/gain_over_telea/<case>`` (dB) for each case, ``brush_level_2`` or
    ``features_nose``; on brush masks the other metrics too, and ``test/brier/...``. What is infinite is left out.
    The metric comes before its case because MLflow's page makes a section of what stands before the last slash.
    """
    rows = {(_case(row), row["method"]): row for row in figures["table"]}
    flat = {}
    for (case, method), row in rows.items():
        if method != "model":
            continue
        for metric in METRICS if row["family"] == MAIN_FAMILY else ("hole_psnr",):
            flat[f"test/{metric}/{case}"] = row[metric]["mean"]
        ours, theirs = row["hole_psnr"], rows[case, "telea"]["hole_psnr"]
        if None not in (ours["mean"], theirs["mean"]) and ours["infinite"] == theirs["infinite"]:
            flat[f"test/gain_over_telea/{case}"] = ours["mean"] - theirs["mean"]
    for row in (figures["confidence"] or {"rows": []})["rows"]:
        if row["family"] == MAIN_FAMILY:
            flat[f"test/brier/{_case(row)}"] = row["brier"]
    return {name: float(value) for name, value in flat.items() if value is not None}


def _case(row: dict[str, Any]) -> str:
    family = str(row["family"]).replace("/", "_")
    return family if row["level"] is None else f"{family}_level_{row['level']}"


def best_metrics(history: list[Row]) -> dict[str, float]:
    """The validation figures of the best checkpoint as ``best_...``, so that runs compare by one number each."""
    validated = [row for row in history if "val/hole_l1" in row]
    best = min(validated, key=lambda row: row["val/hole_l1"])
    return {f"best_{name.removeprefix('val/')}": value for name, value in best.items() if name.startswith("val/")} | {
        "best_step": best["step"]
    }


def gate_metrics(decision: dict[str, Any]) -> dict[str, float]:
    """The figures on which promotion decided, ``gate/hole_psnr/brush_level_2``; infinite ones are left out."""
    return {
        f"gate/{metric}/{case.replace('/', '_')}": float(value)
        for case, figures in decision["challenger"].items()
        for metric, value in figures.items()
        if value is not None and np.isfinite(value)
    }


def log_figures(evaluation: Evaluation, history: list[Row], decision: dict[str, Any]) -> None:
    """Final figures of the run: test table, best validation, gate."""
    mlflow.log_metrics(figure_metrics(evaluation.figures) | best_metrics(history) | gate_metrics(decision))


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
    """Every file that the run publishes; but for ``data_docs/``, which stands by itself."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            mlflow.log_artifact(str(path), "published")
        elif path.name != DATA_DOCS:
            mlflow.log_artifacts(str(path), f"published/{path.name}")


def log_data_docs(data_docs: DataDocs, folder: Path) -> None:
    """The Data Docs, published in ``folder``, and which warnings there are, and how many."""
    mlflow.log_artifacts(str(folder / DATA_DOCS), DATA_DOCS)
    mlflow.log_metric("data/warnings", len(data_docs.warnings))
    said = "; ".join(warning.said for warning in data_docs.warnings)
    # MLflow keeps 8,000 characters of a tag
    mlflow.set_tag("data_warnings", said[:8000] or "none")
