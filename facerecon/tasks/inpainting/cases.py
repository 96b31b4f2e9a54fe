"""The frozen cases of inpainting: masks by level and family, and degraded faces. Imports no torch for masks alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen import MaskSet, build_mask_set, load_mask_set
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations, load_degradations
from facerecon.corruption.frozen_robustness import RobustnessSettings, freeze_robustness
from facerecon.corruption.settings import MaskSettings
from facerecon.data.manifest import Manifest
from facerecon.files import digest_of
from facerecon.settings import Settings
from facerecon.tasks.base import Cases


@dataclass(frozen=True)
class MaskCases(Cases):
    """A set of frozen masks, and if wanted frozen degraded faces of the same size, which are hidden by them, too.

    All files lie in one folder. Without degraded faces digest and description are those of the masks.

    ``robustness`` has the test faces under ROBUSTNESS_PRESETS, None where that is not asked for. Nothing is trained on
    or decided by them: they have a digest of their own, and the one of these cases stays.
    """

    task = "inpainting"

    masks: MaskSet
    degraded: DegradedSet | None = None
    robustness: DegradedSet | None = None

    @property
    def folder(self) -> Path:
        return self.masks.folder

    @property
    def digest(self) -> str:
        return self.masks.digest if self.degraded is None else digest_of([self.masks.digest, self.degraded.digest])

    @property
    def description(self) -> dict[str, Any]:
        beside = {"degraded": self.degraded, "robustness": self.robustness}
        more = {name: pixels.description for name, pixels in beside.items() if pixels is not None}
        return {**self.masks.description, **more}

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
    """What freezing the cases needs."""

    masks: MaskSettings
    degradations: DegradationSettings | None = None
    evaluation: RobustnessSettings = Field(default_factory=RobustnessSettings)


def freeze(settings: CasesPart, faces: Manifest, folder: Path) -> MaskCases:
    """The frozen cases for the faces' size, made in ``folder`` or verified there.

    Only faces that are reported are degraded: what decides on checkpoints and promotion is not.
    """
    chosen = settings.masks
    about = (faces.size, chosen.evaluation_families, chosen.levels, chosen.count, chosen.seed)
    robustness = freeze_robustness(folder, faces, settings.evaluation, scale=1, seed=chosen.seed)
    degraded = _degraded(settings.degradations, faces, folder)
    return MaskCases(build_mask_set(folder, *about), degraded, robustness)


def _degraded(settings: DegradationSettings | None, faces: Manifest, folder: Path) -> DegradedSet | None:
    if settings is None:
        return None
    # imports torch, which masks do not need
    from facerecon.data.datasets import GATES, evaluation_faces

    names = [name for name in ("test", *faces.face_sets) if name not in GATES]
    wanted = [face for name in names for face in evaluation_faces(faces, name, settings.faces).faces]
    return freeze_degradations(folder, faces, settings.evaluation, faces.size, seed=settings.seed, faces=wanted)


def load(folder: Path, description: dict[str, Any]) -> MaskCases:
    """The cases of a description; FaceReconError if a file is missing or another."""
    degraded, robustness = (
        None if (of := description.get(name)) is None else load_degradations(folder, of)
        for name in ("degraded", "robustness")
    )
    return MaskCases(load_mask_set(folder, description), degraded, robustness)
