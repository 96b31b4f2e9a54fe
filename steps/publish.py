"""Put what the run made where people and DVC find it, and tell MLflow; never cached."""

from typing import Any

from rich.console import Console
from zenml import step

from facerecon.config.run import RunSettings
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluate import Evaluation
from facerecon.export.onnx import ExportedModel
from facerecon.files import digest_of
from facerecon.training.checkpoints import Training
from ops import tracking
from ops.lineage import run_tags
from ops.paths import outputs_folder
from ops.publishing import announce, write_outputs


@step(enable_cache=False, experiment_tracker=True)
def publish(
    settings: RunSettings,
    faces: Manifest,
    masks: dict[str, Any],
    training: Training,
    evaluation: Evaluation,
    exported: ExportedModel,
    decision: dict[str, Any],
) -> None:
    """Write ``outputs/<config>/``, log the same files and all figures, and say where everything is."""
    tags = run_tags(settings, faces.digest, digest_of(masks), training.best.digest)
    folder = write_outputs(
        outputs_folder() / settings.name, settings, faces, training, evaluation, exported, decision, tags
    )
    tracking.log_settings(settings, tags)
    tracking.log_curves(training.history)
    tracking.log_figures(evaluation, training.history, {f"gate_{k}": v for k, v in decision["challenger"].items()})
    tracking.log_grid(evaluation)
    tracking.log_folder(folder)
    announce(Console(), folder, evaluation, decision)
