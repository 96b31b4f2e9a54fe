"""What a training ends with as an artifact."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from facerecon.models.trained import TrainedModel, TrainingResult
from ops.materializers.base import FileMaterializer


class TrainingResultMaterializer(FileMaterializer):
    """A training's best model as safetensors, its curves as JSON."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (TrainingResult,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: TrainingResult) -> None:
        self._write("model.safetensors", data.best.to_bytes())
        about = {
            "history": data.history,
            "resumed_at": data.resumed_at,
            "checkpoint_key": data.checkpoint_key,
        }
        self._write_json("history.json", about)

    def load(self, data_type: type[Any]) -> TrainingResult:
        with self._file(".safetensors") as path:
            path.write_bytes(self._read("model.safetensors"))
            return TrainingResult(TrainedModel.read(path), **self._read_json("history.json"))

    def extract_metadata(self, data: TrainingResult) -> dict[str, MetadataType]:
        parameters = sum(value.numel() for value in data.best.weights.values())
        return {"weights digest": data.best.digest, "best step": data.best.step, "values": parameters}

    def compute_content_hash(self, data: TrainingResult) -> str:
        return data.best.digest
