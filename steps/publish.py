"""Put what the run made where people and DVC find it, and tell MLflow and ZenML; never cached."""

from typing import Annotated, Any

from rich.console import Console
from zenml import step
from zenml.types import HTMLString

from facerecon.corruption.frozen import MaskSet
from facerecon.data.manifest import Manifest
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.evaluate import Evaluation
from facerecon.export.onnx import ExportedModel
from facerecon.run import RunSettings
from facerecon.training.checkpoints import Training
from facerecon.workspace import outputs_folder
from ops import tracking
from ops.curves import log_curves
from ops.lineage import run_tags
from ops.origins import origin_tags, show_in_zenml
from ops.promotion import as_of_now
from ops.publishing import announce, write_outputs


@step(enable_cache=False, experiment_tracker=True)
def publish(
    settings: RunSettings,
    faces: Manifest,
    masks: MaskSet,
    training: Training,
    evaluation: Evaluation,
    exported: ExportedModel,
    decision: dict[str, Any],
    comparison: dict[str, Any],
    data_docs: DataDocs,
    code: dict[str, str],
) -> Annotated[HTMLString, "report"]:
    """Write ``outputs/<config>/``, log the same files and all figures, say where everything is; the report is shown.

    ``comparison`` holds faces as champion and challenger make them, ``code`` the digest of the code that each step
    reaches.
    """
    origins, decision = origin_tags(), as_of_now(decision)
    tags = run_tags(settings, faces.digest, masks.digest, training.best.digest, code)
    tags["trained_in_run"] = origins["trained_in_run"]
    folder = outputs_folder() / settings.name
    write_outputs(folder, settings, faces, data_docs, training, evaluation, exported, decision, comparison, tags)
    show_in_zenml(tags | origins)
    tracking.log_settings(settings, tags | origins)
    tracking.log_data(faces, settings)
    log_curves(training.history)
    tracking.log_figures(evaluation, training.history, decision)
    tracking.log_grid(evaluation)
    tracking.log_data_docs(data_docs, folder)
    tracking.log_folder(folder)
    announce(Console(), folder, evaluation, decision, data_docs)
    return HTMLString((folder / "report.html").read_text(encoding="utf-8"))
