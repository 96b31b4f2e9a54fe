"""What came of the data's expectations as an artifact."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from facerecon.data.validation.outcomes import DataDocs, Outcome
from facerecon.files import digest_of
from ops.materializers.base import FileMaterializer


class DataDocsMaterializer(FileMaterializer):
    """Outcomes as JSON, Great Expectations' pages as they are, each shown by itself."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DataDocs,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def save(self, data: DataDocs) -> None:
        self._write_json("outcomes.json", {"outcomes": data.summary(), "pages": sorted(data.pages)})
        for name, page in data.pages.items():
            self._write(name, page.encode())

    def load(self, data_type: type[Any]) -> DataDocs:
        about = self._read_json("outcomes.json")
        pages = {name: self._read(name).decode() for name in about["pages"]}
        return DataDocs([Outcome(**outcome) for outcome in about["outcomes"]], pages)

    def extract_metadata(self, data: DataDocs) -> dict[str, MetadataType]:
        return {"expectations": len(data.outcomes), "warnings": len(data.warnings)}

    def save_visualizations(self, data: DataDocs) -> dict[str, VisualizationType]:
        """What was seen, table by table; links between pages lead nowhere where ZenML shows them."""
        shown = [name for name in data.pages if name != "index.html" and not name.endswith("-suite.html")]
        return {f"{self.uri}/{name}": VisualizationType.HTML for name in shown}

    def compute_content_hash(self, data: DataDocs) -> str:
        return digest_of([data.summary(), data.pages])
