"""Export the model as ONNX and prove that it computes the same."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
from facerecon.export.result import ExportedModel
from facerecon.export.settings import OnnxSettings
from facerecon.models.trained import TrainingResult
from facerecon.tasks import Cases, get_task
from ops.materializers.exported import ExportedModelMaterializer
from steps.caching import CACHED


@step(
    cache_policy=CACHED,
    output_materializers={"exported": ExportedModelMaterializer},
    experiment_tracker=True,
)
def export(
    training_result: TrainingResult,
    faces: Manifest,
    cases: Cases,
    task: str,
    onnx: OnnxSettings,
    metadata: dict[str, str],
    code: str,
) -> tuple[Annotated[ExportedModel, "exported"], Annotated[str, "model_uri"]]:
    """The ONNX file and where MLflow keeps it; ``metadata`` is written into the file."""
    from facerecon.export.onnx import export as export_model
    from ops.registry import log_onnx

    faces.check_crops()
    chosen, best = get_task(task), training_result.best
    inputs = chosen.parity_inputs(faces, cases, onnx.parity_faces)
    about = {"size": str(best.size), "weights_digest": best.digest, "data_digest": faces.digest}
    module = chosen.contract(best)
    exported = export_model(module, chosen.signature, inputs, metadata | about, onnx.min_parity_psnr)
    log_metadata({"code": code})
    return exported, log_onnx(exported, chosen.signature, chosen.example(best))
