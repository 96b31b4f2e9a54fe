"""How the project's types become ZenML artifacts: parquet, safetensors, ONNX, npz; nothing is pickled."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluate import Evaluation
from facerecon.export.onnx import ExportedModel
from facerecon.files import digest_of, sha256_bytes
from facerecon.training.checkpoints import TrainedModel
from facerecon.training.loop import Training


class _FileMaterializer(BaseMaterializer):
    """Reads and writes files of an artifact through the artifact store, which may be remote."""

    SKIP_REGISTRATION: ClassVar[bool] = True

    def _write(self, name: str, content: bytes) -> None:
        with self.artifact_store.open(f"{self.uri}/{name}", "wb") as stream:
            stream.write(content)

    def _read(self, name: str) -> bytes:
        with self.artifact_store.open(f"{self.uri}/{name}", "rb") as stream:
            return bytes(stream.read())

    def _write_json(self, name: str, value: Any) -> None:
        self._write(name, json.dumps(value, sort_keys=True, allow_nan=False).encode())

    def _read_json(self, name: str) -> Any:
        return json.loads(self._read(name))

    @contextmanager
    def _file(self, suffix: str) -> Iterator[Path]:
        """A local file for libraries that want a path."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / f"content{suffix}"


class ManifestMaterializer(_FileMaterializer):
    """A manifest as two parquet tables and its description."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Manifest,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Manifest) -> None:
        for name, table in (("faces", data.faces), ("quarantine", data.quarantine)):
            with self._file(".parquet") as path:
                table.reset_index(drop=True).to_parquet(path)
                self._write(f"{name}.parquet", path.read_bytes())
        self._write_json("manifest.json", {"root": data.root, "store": data.store, "size": data.size})

    def load(self, data_type: type[Any]) -> Manifest:
        tables = {}
        for name in ("faces", "quarantine"):
            with self._file(".parquet") as path:
                path.write_bytes(self._read(f"{name}.parquet"))
                tables[name] = pd.read_parquet(path)
        about = self._read_json("manifest.json")
        return Manifest(faces=tables["faces"], quarantine=tables["quarantine"], **about)

    def extract_metadata(self, data: Manifest) -> dict[str, MetadataType]:
        return {"digest": data.digest, "crop size": data.size, **data.counts()}

    def save_visualizations(self, data: Manifest) -> dict[str, VisualizationType]:
        self._write("faces.csv", data.faces.head(200).to_csv(index=False).encode())
        return {f"{self.uri}/faces.csv": VisualizationType.CSV}

    def compute_content_hash(self, data: Manifest) -> str:
        return digest_of([data.digest, data.root, data.store])


class TrainingMaterializer(_FileMaterializer):
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


class EvaluationMaterializer(_FileMaterializer):
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


class ExportedModelMaterializer(_FileMaterializer):
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
