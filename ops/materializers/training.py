"""A training's outcome as an artifact."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from facerecon.models.trained import TrainedModel
from facerecon.training.checkpoints import Training
from ops.materializers.base import FileMaterializer


class TrainingMaterializer(FileMaterializer):
    """A training's best model as safetensors, its curves as JSON."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Training,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: Training) -> None:
        self._write("model.safetensors", data.best.to_bytes())
        self._write_json("history.json", {"history": data.history, "resumed_at": data.resumed_at})

    def load(self, data_type: type[Any]) -> Training:
        with self._file(".safetensors") as path:
            path.write_bytes(self._read("model.safetensors"))
            return Training(TrainedModel.read(path), **self._read_json("history.json"))

    def extract_metadata(self, data: Training) -> dict[str, MetadataType]:
        parameters = sum(value.numel() for value in data.best.weights.values())
        return {"weights digest": data.best.digest, "best step": data.best.step, "values": parameters}

    def compute_content_hash(self, data: Training) -> str:
        return data.best.digest
