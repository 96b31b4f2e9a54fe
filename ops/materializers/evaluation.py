"""An evaluation as an artifact."""

from typing import Any, ClassVar

import numpy as np
from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.files import digest_of, sha256_bytes
from facerecon.tasks import get_task
from ops.materializers.base import FileMaterializer


class EvaluationMaterializer(FileMaterializer):
    """Summaries as JSON, scores by face as parquet, sample images as npz."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Evaluation,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def save(self, data: Evaluation) -> None:
        self._write_json("evaluation.json", data.as_dict())
        self._write("scores.parquet", data.scores.to_bytes())
        with self._file(".npz") as path:
            arrays: dict[str, Any] = dict(data.samples)
            np.savez(path, **arrays)
            self._write("samples.npz", path.read_bytes())

    def load(self, data_type: type[Any]) -> Evaluation:
        with self._file(".npz") as path:
            path.write_bytes(self._read("samples.npz"))
            with np.load(path, allow_pickle=False) as stored:
                samples = {name: stored[name] for name in stored.files}
        about = self._read_json("evaluation.json")
        scores = Scores.from_bytes(self._read("scores.parquet"))
        return Evaluation.from_dict(about, scores, samples, get_task(about["model"]["task"]).details)

    def extract_metadata(self, data: Evaluation) -> dict[str, MetadataType]:
        name, case = data.headline
        return {
            str(figure.key) if figure.method == MODEL else f"{figure.key}, {figure.method}": figure.summary.mean
            for figure in data.scores.figures()
            if (figure.key.metric, figure.key.case) == (name, case) and figure.summary.mean is not None
        }

    def compute_content_hash(self, data: Evaluation) -> str:
        arrays = {name: sha256_bytes(np.ascontiguousarray(value).tobytes()) for name, value in data.samples.items()}
        rows = data.scores.to_frame().to_csv(index=False, float_format="%.17g")
        return digest_of([data.as_dict(), sha256_bytes(rows.encode()), arrays])
