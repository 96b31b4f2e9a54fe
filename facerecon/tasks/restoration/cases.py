"""The frozen cases of restoration: the evaluation faces' degraded pixels, by degradation. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations, load_degradations
from facerecon.corruption.frozen_robustness import RobustnessSettings, freeze_robustness
from facerecon.corruption.presets import find_preset
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.files import digest_of
from facerecon.models.settings import ModelSettings, scale_of
from facerecon.settings import Settings
from facerecon.tasks.base import Cases

SHOWN = 6
"""So many faces stand in the overview."""


@dataclass(frozen=True)
class DegradedCases(Cases):
    """A set of frozen degraded faces; of its ``presets`` the first one decides.

    ``robustness`` has the test faces under ROBUSTNESS_PRESETS, None where that is not asked for. Nothing is trained on
    or decided by them: they have a digest of their own, and the one of these cases stays.
    """

    task = "restoration"

    degraded: DegradedSet
    presets: tuple[str, ...]
    robustness: DegradedSet | None = None

    @property
    def folder(self) -> Path:
        return self.degraded.folder

    @property
    def digest(self) -> str:
        return digest_of([self.degraded.digest, self.presets])

    @property
    def description(self) -> dict[str, Any]:
        more = {} if self.robustness is None else {"robustness": self.robustness.description}
        return {**self.degraded.description, "presets": list(self.presets), **more}

    @property
    def trained_presets(self) -> tuple[str, ...]:
        """Those that may be trained on."""
        return tuple(name for name in self.presets if not find_preset(name).evaluation_only)

    def images(self, preset: str, faces: EvaluationFaces) -> NDArray[np.uint8]:
        """The degraded faces uint8 [N, h, w, 3]."""
        return self.degraded.for_faces(preset, faces.faces)

    def picture(self) -> NDArray[np.uint8]:
        """A row for each degradation, the same few faces in each."""
        return np.vstack([np.hstack(list(self.degraded.presets[name].pixels[:SHOWN])) for name in self.presets])


class CasesPart(Settings):
    """What freezing the degraded faces needs."""

    degradations: DegradationSettings
    model: ModelSettings
    evaluation: RobustnessSettings = Field(default_factory=RobustnessSettings)


def freeze(settings: CasesPart, faces: Manifest, folder: Path) -> DegradedCases:
    """The frozen faces of all splits but training, degraded into ``folder`` or verified there."""
    chosen = settings.degradations
    names = dict.fromkeys(("val", "gate", "test", *faces.face_sets))
    wanted = [face for name in names for face in evaluation_faces(faces, name, chosen.faces).faces]
    scale = scale_of(settings.model)
    robustness = freeze_robustness(folder, faces, settings.evaluation, scale, chosen.seed)
    about = (chosen.evaluation, faces.size, scale, chosen.seed, wanted)
    return DegradedCases(freeze_degradations(folder, faces, *about), chosen.evaluation, robustness)


def load(folder: Path, description: dict[str, Any]) -> DegradedCases:
    """The cases of a description; FaceReconError if a file is missing or another."""
    robustness = load_degradations(folder, description["robustness"]) if "robustness" in description else None
    return DegradedCases(load_degradations(folder, description), tuple(description["presets"]), robustness)


def enlarged(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Images uint8 [N, h, w, 3], enlarged bicubically to ``size`` pixels a side; those of that size as they are."""
    if images.shape[1] == size:
        return images
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in images])
