"""What a run tells MLflow: parameters, curves, figures, files and tags, under names that do not change."""

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from PIL import Image

from facerecon.data.collected.collection import Collection
from facerecon.data.manifest import SPLITS, Manifest
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.comparison import Comparison
from facerecon.evaluation.evaluation import Evaluation, gain
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL, Decision
from facerecon.files import digest_of
from facerecon.models.trained import Row, TrainingResult, images_per_second
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.decision import standing
from facerecon.retraining.plan import Plan
from facerecon.run import RunSettings
from facerecon.workspace import PROJECT
from ops.lineage import uncommitted_diff
from ops.registry import connect

DATA_DOCS = "data_docs"
"""The folder of the Data Docs, in what a run publishes and in MLflow."""


def flat_parameters(settings: RunSettings) -> dict[str, Any]:
    """The settings as ``training.losses.hole: 6.0``: flat names, so that MLflow's table can compare them."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):  # of sources
            walk(prefix, {inner["name"] or inner["source"]: inner for inner in value})
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


def log_data(faces: Manifest) -> None:
    """The faces of each split as inputs of the run, by source, known by their content."""
    for label, place in faces.sources.items():
        source = LocalArtifactDatasetSource(place.root)
        for split in SPLITS:
            rows = faces.split(split)
            rows = rows[rows["source"] == label][["face", "crop_sha256"]]
            if rows.empty:
                continue
            # MLflow keeps 36 characters of a digest
            digest = digest_of(rows.to_dict("list"))[:36]
            name = f"{label}-{Path(place.root).name}-{split}"
            data = mlflow.data.from_pandas(rows, source=source, name=name, digest=digest)  # type: ignore[attr-defined]
            mlflow.log_input(data, context=split)


def figure_metrics(evaluation: Evaluation) -> dict[MetricKey, float]:
    """The model's figures on the test split, or on each of its face sets; ``metrics.json`` has all there are.

    Of every case the headline metric and its gain over the baseline, of the headline's case the other metrics too. What
    is infinite is left out. Of face sets, the gain's mean over the levels as well: two cameras compare by it.
    """
    name, headline = evaluation.headline
    flat: dict[MetricKey, float] = {}
    for face_set in (each.name for each in evaluation.all_sets):
        for case, level in evaluation.cases_on(face_set):
            for metric in evaluation.metrics if case == headline else (evaluation.headline_metric,):
                found = evaluation.summary(metric.name, case, level, MODEL, face_set)
                if found is not None and found.mean is not None:
                    flat[MetricKey(face_set, metric.name, case, level)] = found.mean
            both = [evaluation.summary(name, case, level, of, face_set) for of in (MODEL, evaluation.baseline)]
            difference = gain(evaluation.headline_metric, *both)
            if difference is not None:
                flat[MetricKey(face_set, gain_name(evaluation), case, level)] = difference
        mean = evaluation.mean_gain(evaluation.baseline, face_set)
        if evaluation.face_sets and mean is not None:
            flat[MetricKey(face_set, gain_name(evaluation), f"{headline}_{MEAN}")] = mean
    return flat


MEAN = "mean_over_levels"
"""How a case's name ends where a figure is a mean over its levels."""


def gain_name(evaluation: Evaluation) -> str:
    """The name of the gain over the baseline in the headline metric: ``gain_over_telea``."""
    return f"gain_over_{evaluation.baseline}"


def headline_metrics(evaluation: Evaluation, history: list[Row]) -> dict[str, float]:
    """A handful of figures without a prefix, by which runs are compared at a glance.

    Means over the levels of the headline's case of every metric and of the gain over the baseline, and the speed of the
    training, the median over its points.
    """
    _, case = evaluation.headline
    found: dict[str, float] = {}
    for metric in evaluation.metrics:
        mean = evaluation.scores.mean_over_levels(evaluation.face_set, metric.name, case, MODEL)
        if mean is not None:
            found[metric.name] = mean
    gains = [evaluation.gain(level, evaluation.baseline) for level in evaluation.levels(case)]
    known = [value for value in gains if value is not None]
    if known and len(known) == len(gains):
        found[gain_name(evaluation)] = statistics.fmean(known)
    speed = images_per_second(history)
    return found | ({} if speed is None else {"images_per_second": speed})


def best_metrics(result: TrainingResult) -> dict[str, float]:
    """The validation figures of the best checkpoint as ``best/...``, so that runs compare by one number each."""
    row = result.best_row
    best = {f"best/{name.removeprefix('val/')}": value for name, value in row.items() if name.startswith("val/")}
    return best | {"best/step": row["step"]}


def gate_metrics(decision: Decision) -> dict[MetricKey, float]:
    """The means on which promotion decided; what is not finite is left out."""
    return {
        MetricKey(row.face_set, row.metric, row.case, row.level): row.challenger
        for row in decision.means
        if row.challenger is not None
    }


def comparison_metrics(comparisons: Iterable[Comparison]) -> dict[MetricKey, float]:
    """By how much the model is better than others in every measure: ``test_new/hole_psnr_gain_over_champion/brush...``.

    By level and as a mean over them, with the lower end of the interval, where there is one, as ``..._low``.
    """
    flat: dict[MetricKey, float] = {}
    for each in comparisons:
        for row in each.rows:
            case, level = (f"{row.case}_{MEAN}", -1) if row.level is None else (row.case, row.level)
            name = f"{row.metric}_gain_over_{each.method}"
            flat[MetricKey(each.face_set, name, case, level)] = row.gain
            if row.low is not None:
                flat[MetricKey(each.face_set, f"{name}_low", case, level)] = row.low
    return flat


def log_figures(
    evaluation: Evaluation, result: TrainingResult, decision: Decision, comparisons: Iterable[Comparison] = ()
) -> None:
    """Final figures of the run: headline, test, best validation, gate, other models; and the decision whole."""
    found = figure_metrics(evaluation) | gate_metrics(decision) | comparison_metrics(comparisons)
    found |= evaluation.details.figures(evaluation.face_set)
    keyed = {str(key): value for key, value in found.items()}
    mlflow.log_metrics(headline_metrics(evaluation, result.history) | keyed | best_metrics(result))
    mlflow.log_dict(decision.model_dump(mode="json"), "decision.json")


def describe(evaluation: Evaluation, decision: Decision, report: TaskReport) -> None:
    """The result table with the decision as the description of the run and of the version."""
    text = description(evaluation, decision, report)
    mlflow.set_tag("mlflow.note.content", text)
    connect().update_model_version(decision.registered_model, str(decision.version), text)


def description(evaluation: Evaluation, decision: Decision, report: TaskReport) -> str:
    """The headline's table and the decision as Markdown."""
    block = tables.case_block(evaluation, report, evaluation.headline[1])
    titles = [f"{metric.titled} {metric.arrow}" for metric in evaluation.metrics]
    lines = [
        standing(decision),
        "",
        " ".join((tables.headline(evaluation), *report.beside_headline(evaluation))),
        "",
        f"| {block.title} | method | {' | '.join(titles)} |",
        f"|---|---|{'---:|' * len(titles)}",
    ]
    for group in block.groups:
        for line in group.lines:
            cells = ["–" if cell is None else cell.text for cell in line.cells]
            lines.append(f"| {group.label} | {line.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def log_samples(evaluation: Evaluation, report: TaskReport) -> None:
    """The sample images as one picture under a key that does not change, so that runs compare side by side."""
    picture = report.sample_grid(evaluation)
    if picture is not None:
        mlflow.log_image(Image.fromarray(picture), "grids/test.png")


def log_retraining(config: str, plan: Plan, collection: Collection) -> None:
    """What a retraining decided and on what, and what came of the new clips: of every run, also one that trains none.

    Of clips there are names, of people only numbers.
    """
    mlflow.set_tags(
        {
            **{"config": config, "retraining_kind": plan.kind, "retraining_decision": plan.said},
            **{"parent": plan.parent or "none", "clips": str(len(collection.taken_in))},
        }
    )
    mlflow.log_dict(plan.model_dump(mode="json"), "retraining/plan.json")
    mlflow.log_dict(collection.model_dump(mode="json"), "retraining/collection.json")


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
