"""Frozen evaluation masks as an artifact: which files they are, not the files."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from facerecon.corruption.frozen import MaskSet, load_mask_set
from ops.materializers.base import FileMaterializer


class MaskSetMaterializer(FileMaterializer):
    """A mask set as its folder and the digests of its files, which are verified when it is read."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (MaskSet,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: MaskSet) -> None:
        self._write_json("masks.json", {"folder": str(data.folder), "description": data.description})

    def load(self, data_type: type[Any]) -> MaskSet:
        about = self._read_json("masks.json")
        return load_mask_set(Path(about["folder"]), about["description"])

    def extract_metadata(self, data: MaskSet) -> dict[str, MetadataType]:
        return {"digest": data.digest, "files": len(data.masks), "size": data.size}

    def save_visualizations(self, data: MaskSet) -> dict[str, VisualizationType]:
        """One picture: a row for each family, a mask for each level, white = hole."""
        families = sorted({family for _, family in data.masks})
        rows = [
            np.hstack([np.pad(data.masks[key].for_face("") * np.uint8(255), 2, constant_values=128) for key in keys])
            for keys in ([key for key in sorted(data.masks) if key[1] == family] for family in families)
        ]
        self._write_png("masks.png", np.vstack(rows))
        return {f"{self.uri}/masks.png": VisualizationType.IMAGE}

    def compute_content_hash(self, data: MaskSet) -> str:
        return data.digest
