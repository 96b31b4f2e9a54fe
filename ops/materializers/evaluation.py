"""Figures and sample images as an artifact."""

from typing import Any, ClassVar

import numpy as np
from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from facerecon.evaluation.evaluate import Evaluation
from facerecon.files import digest_of, sha256_bytes
from ops.materializers.base import FileMaterializer


class EvaluationMaterializer(FileMaterializer):
    """Figures as JSON, sample images as npz."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Evaluation,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def save(self, data: Evaluation) -> None:
        self._write_json("figures.json", data.figures)
        with self._file(".npz") as path:
            arrays: dict[str, Any] = dict(data.samples)
            np.savez(path, **arrays)
            self._write("samples.npz", path.read_bytes())

    def load(self, data_type: type[Any]) -> Evaluation:
        with self._file(".npz") as path:
            path.write_bytes(self._read("samples.npz"))
            with np.load(path, allow_pickle=False) as stored:
                samples = {name: stored[name] for name in stored.files}
        return Evaluation(self._read_json("figures.json"), samples)

    def extract_metadata(self, data: Evaluation) -> dict[str, MetadataType]:
        return {
            f"hole PSNR, {row['method']}, {row['family']} level {row['level']}": row["hole_psnr"]["mean"]
            for row in data.figures["table"]
            if row["family"] == "brush" and "hole_psnr" in row and row["hole_psnr"]["mean"] is not None
        }

    def compute_content_hash(self, data: Evaluation) -> str:
        arrays = {name: sha256_bytes(np.ascontiguousarray(value).tobytes()) for name, value in data.samples.items()}
        return digest_of([data.figures, arrays])
