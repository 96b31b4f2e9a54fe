"""A manifest as an artifact."""

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from facerecon.data.account import as_rows, from_rows
from facerecon.data.manifest import SPLITS, Manifest, SourceRoot
from facerecon.data.quarantine import completed
from facerecon.files import digest_of
from ops.materializers.base import FileMaterializer


class ManifestMaterializer(FileMaterializer):
    """A manifest as two parquet tables and its description."""

    SKIP_REGISTRATION: ClassVar[bool] = False
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Manifest,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Manifest) -> None:
        for name, table in (("faces", data.faces), ("quarantine", data.quarantine)):
            with self._file(".parquet") as path:
                table.reset_index(drop=True).to_parquet(path)
                self._write(f"{name}.parquet", path.read_bytes())
        about = {"size": data.size, "truth": data.truth, "moved": list(data.moved)}
        about["face_sets"] = {name: list(faces) for name, faces in data.face_sets.items()}
        self._write_json("manifest.json", {**_places(data), **about, "passed_over": as_rows(data.passed_over)})

    def load(self, data_type: type[Any]) -> Manifest:
        tables = {}
        for name in ("faces", "quarantine"):
            with self._file(".parquet") as path:
                path.write_bytes(self._read(f"{name}.parquet"))
                tables[name] = pd.read_parquet(path)
        about = self._read_json("manifest.json")
        if "root" in about:  # of before there could be several sources
            [source] = tables["faces"]["source"].unique()
            about["sources"] = {source: {"layout": source, "root": about.pop("root")}}
        sources = {name: SourceRoot(**source) for name, source in about.pop("sources").items()}
        quarantine = completed(tables["quarantine"], next(iter(sources)))
        # not there in older manifests
        about["moved"] = tuple(about.get("moved", ()))
        about["passed_over"] = from_rows(about.get("passed_over", []))
        about["face_sets"] = {name: tuple(faces) for name, faces in about.get("face_sets", {}).items()}
        return Manifest(tables["faces"], sources, quarantine, **about)

    def extract_metadata(self, data: Manifest) -> dict[str, MetadataType]:
        return {"digest": data.digest, "crop size": data.size, **data.counts()}

    def save_visualizations(self, data: Manifest) -> dict[str, VisualizationType]:
        """The table's beginning, and once aligned some faces of each split, a row each."""
        self._write("faces.csv", data.faces.head(200).to_csv(index=False).encode())
        shown = {f"{self.uri}/faces.csv": VisualizationType.CSV}
        if data.aligned:
            self._write_png("faces.png", _contact_sheet(data))
            shown[f"{self.uri}/faces.png"] = VisualizationType.IMAGE
        return shown

    def compute_content_hash(self, data: Manifest) -> str:
        sets = [data.sets_digest] if data.face_sets else []
        return digest_of([data.digest, _places(data), *sets])


def _places(manifest: Manifest) -> dict[str, Any]:
    """Where its files lie, for JSON."""
    sources = {name: asdict(source) for name, source in manifest.sources.items()}
    store = manifest.store if isinstance(manifest.store, str) else dict(manifest.store)
    return {"sources": sources, "frames": manifest.frames, "store": store}


def _contact_sheet(manifest: Manifest, columns: int = 12) -> NDArray[np.uint8]:
    """The first faces of each split by name, one split a row, uint8 [rows, columns, 3]; missing ones are gray."""
    rows = []
    for split in SPLITS:
        sheet = np.full((manifest.size, columns * manifest.size, 3), 128, np.uint8)
        for index, face in enumerate(manifest.split(split)["face"].head(columns)):
            sheet[:, index * manifest.size : (index + 1) * manifest.size] = manifest.aligned_faces.crop(face)
        rows.append(sheet)
    return np.vstack(rows)
