"""An ONNX file as an artifact."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from facerecon.export.result import ExportedModel
from facerecon.files import sha256_bytes
from ops.materializers.base import FileMaterializer


class ExportedModelMaterializer(FileMaterializer):
    """The ONNX file and the report on it."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ExportedModel,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: ExportedModel) -> None:
        self._write("model.onnx", data.content)
        self._write_json("report.json", data.report)

    def load(self, data_type: type[Any]) -> ExportedModel:
        return ExportedModel(self._read("model.onnx"), self._read_json("report.json"))

    def extract_metadata(self, data: ExportedModel) -> dict[str, MetadataType]:
        return {"bytes": len(data.content), "sha256": sha256_bytes(data.content)}

    def compute_content_hash(self, data: ExportedModel) -> str:
        return sha256_bytes(data.content)
