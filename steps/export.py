"""Export the model as ONNX and prove that it computes the same."""

from typing import Annotated

from zenml import step

from facerecon.corruption.frozen import MaskSet
from facerecon.data.manifest import Manifest
from facerecon.export.onnx import ExportedModel
from facerecon.export.onnx import export as export_model
from facerecon.export.parity import parity_inputs
from facerecon.export.settings import OnnxSettings
from facerecon.training.checkpoints import Training
from ops.materializers.exported import ExportedModelMaterializer
from ops.registry import log_onnx
from steps.caching import cache_of


@step(
    cache_policy=cache_of(__name__),
    output_materializers={"exported": ExportedModelMaterializer},
    experiment_tracker=True,
)
def export(
    training: Training,
    faces: Manifest,
    masks: MaskSet,
    onnx: OnnxSettings,
    metadata: dict[str, str],
) -> tuple[Annotated[ExportedModel, "exported"], Annotated[str, "model_uri"]]:
    """The ONNX file and where MLflow keeps it; ``metadata`` is written into the file."""
    faces.check_crops()
    images, holes = parity_inputs(faces, masks, onnx.parity_faces)
    digests = {"weights_digest": training.best.digest, "data_digest": faces.digest}
    exported = export_model(training.best, metadata | digests, images, holes, onnx.min_parity_psnr)
    return exported, log_onnx(exported, training.best.build().stride)
