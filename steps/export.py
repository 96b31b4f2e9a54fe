"""Export the model as ONNX and prove that it computes the same."""

from typing import Annotated, Any

from zenml import step

from facerecon.config.onnx import OnnxSettings
from facerecon.corruption.frozen import load_mask_set
from facerecon.data.manifest import Manifest
from facerecon.export.onnx import ExportedModel
from facerecon.export.onnx import export as export_model
from facerecon.export.parity import parity_inputs
from facerecon.training.checkpoints import Training
from ops.materializers.exported import ExportedModelMaterializer
from ops.paths import state_folder
from ops.registry import log_onnx
from steps.caching import CACHE


@step(cache_policy=CACHE, output_materializers={"exported": ExportedModelMaterializer}, experiment_tracker=True)
def export(
    training: Training,
    faces: Manifest,
    masks: dict[str, Any],
    onnx: OnnxSettings,
    metadata: dict[str, str],
) -> tuple[Annotated[ExportedModel, "exported"], Annotated[str, "model_uri"]]:
    """The ONNX file and where MLflow keeps it; ``metadata`` is written into the file."""
    faces.check_crops()
    frozen = load_mask_set(state_folder() / "masks", masks)
    images, holes = parity_inputs(faces, frozen, onnx.parity_faces)
    digests = {"weights_digest": training.best.digest, "data_digest": faces.digest}
    exported = export_model(training.best, metadata | digests, images, holes, onnx.min_parity_psnr)
    return exported, log_onnx(exported, training.best.build().stride)
