"""Frozen evaluation cases as an artifact: which files they are, not the files."""

from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from facerecon.tasks import Cases, get_task
from ops.materializers.base import FileMaterializer


class CasesMaterializer(FileMaterializer):
    """Cases as their folder and the digests of their files, which are verified when they are read."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Cases,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Cases) -> None:
        about = {"task": data.task, "folder": str(data.folder), "description": data.description}
        self._write_json("cases.json", about)

    def load(self, data_type: type[Any]) -> Cases:
        about = self._read_json("cases.json")
        return get_task(about["task"]).load_cases(Path(about["folder"]), about["description"])

    def extract_metadata(self, data: Cases) -> dict[str, MetadataType]:
        return {"task": data.task, "digest": data.digest}

    def save_visualizations(self, data: Cases) -> dict[str, VisualizationType]:
        """The task's overview, if it has one."""
        picture = data.picture()
        if picture is None:
            return {}
        self._write_png("cases.png", picture)
        return {f"{self.uri}/cases.png": VisualizationType.IMAGE}

    def compute_content_hash(self, data: Cases) -> str:
        return data.digest
