"""The manifest: a table of faces, one row each, which travels between steps in place of the images."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from facerecon.errors import FaceReconError

SPLITS = ("train", "val", "gate", "test")

PHOTO_COLUMNS = ("face", "uri", "sha256", "source", "identity", "split")
"""``face`` names the row; ``uri`` is relative to the data root; ``sha256`` is that of the photo's bytes."""

FACE_COLUMNS = (
    *("crop", "crop_sha256", "box_x", "box_y", "box_width", "box_height", "quad", "padding"),
    *("yaw", "pitch", "roll", "sharpness", "brightness"),
)
"""Added by alignment: ``crop`` is relative to the store; box and quad (side of the cut square) in photo pixels."""


@dataclass(frozen=True)
class Manifest:
    """Faces and the photos that could not be used.

    ``root`` is the data root (a path or fsspec url), ``store`` the folder of the aligned crops ("" before
    alignment), ``size`` the crops' side in pixels (0 before). ``faces`` has PHOTO_COLUMNS and, once aligned,
    FACE_COLUMNS; ``quarantine`` has uri and reason.
    """

    root: str
    faces: pd.DataFrame
    quarantine: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"uri": [], "reason": []}, dtype=str))
    store: str = ""
    size: int = 0

    @property
    def aligned(self) -> bool:
        """Whether the faces have been cut out."""
        return self.size > 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the rows in order of their names; does not depend on where root and store lie."""
        rows = self.faces.sort_values("face")
        content = rows[list(PHOTO_COLUMNS)].to_csv(index=False)
        if self.aligned:
            content += rows["crop_sha256"].to_csv(index=False)
        refused = self.quarantine.sort_values(["uri", "reason"]).to_csv(index=False)
        return hashlib.sha256(f"{self.size}\n{content}\n{refused}".encode()).hexdigest()

    def split(self, name: str) -> pd.DataFrame:
        """The rows of one split, in order of their names."""
        return self.faces[self.faces["split"] == name].sort_values("face").reset_index(drop=True)

    def crop_path(self, crop: str) -> Path:
        """Where an aligned crop lies."""
        return Path(self.store) / crop

    def check_crops(self) -> None:
        """Raise FaceReconError if a crop that the manifest names is gone."""
        missing = [crop for crop in self.faces["crop"] if not self.crop_path(crop).is_file()]
        if missing:
            raise FaceReconError(
                f"{len(missing)} aligned crops are missing from {self.store} (first: {missing[0]}): "
                "run the pipeline again, it aligns them anew"
            )

    def counts(self) -> dict[str, int]:
        """Faces per split, identities and quarantined photos."""
        per_split = self.faces["split"].value_counts()
        return {
            **{name: int(per_split.get(name, 0)) for name in SPLITS},
            "identities": int(self.faces["identity"].nunique()),
            "quarantined": len(self.quarantine),
        }
