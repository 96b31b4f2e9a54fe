"""The frozen cases of inpainting: masks by level and family. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.frozen import MaskSet, build_mask_set, load_mask_set
from facerecon.corruption.settings import MaskSettings
from facerecon.data.manifest import Manifest
from facerecon.settings import Settings
from facerecon.tasks.base import Cases


@dataclass(frozen=True)
class MaskCases(Cases):
    """A set of frozen masks."""

    task = "inpainting"

    masks: MaskSet

    @property
    def folder(self) -> Path:
        return self.masks.folder

    @property
    def digest(self) -> str:
        return self.masks.digest

    @property
    def description(self) -> dict[str, Any]:
        return self.masks.description

    def picture(self) -> NDArray[np.uint8]:
        """A row for each family, a mask for each level, white = hole."""
        masks = self.masks.masks
        families = sorted({family for _, family in masks})
        rows = [
            np.hstack([np.pad(masks[key].for_face("") * np.uint8(255), 2, constant_values=128) for key in keys])
            for keys in ([key for key in sorted(masks) if key[1] == family] for family in families)
        ]
        return np.vstack(rows)


class CasesPart(Settings):
    """What freezing the masks needs."""

    masks: MaskSettings


def freeze(settings: CasesPart, faces: Manifest, folder: Path) -> MaskCases:
    """The frozen masks for the faces' size, drawn into ``folder`` or verified there."""
    chosen = settings.masks
    return MaskCases(
        build_mask_set(folder, faces.size, chosen.evaluation_families, chosen.levels, chosen.count, chosen.seed)
    )


def load(folder: Path, description: dict[str, Any]) -> MaskCases:
    """The cases of a description; FaceReconError if a file is missing or another."""
    return MaskCases(load_mask_set(folder, description))
