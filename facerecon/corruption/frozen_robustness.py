"""The faces that are reported, under each step of the families of damage, with frozen pixels.

What an evaluation asks for is here as far as the pixels depend on it, and no more: who freezes, trains or promotes
follows neither the evaluation's code nor its other settings.
"""

from pathlib import Path

from pydantic import ConfigDict

from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations
from facerecon.corruption.presets import ROBUSTNESS_PRESETS
from facerecon.data.manifest import Manifest
from facerecon.settings import Settings


class RobustnessSettings(Settings):
    """Those of an evaluation's settings on which the pixels depend."""

    model_config = ConfigDict(extra="ignore")

    robustness: bool = False
    max_faces: int = 0


def freeze_robustness(
    folder: Path, manifest: Manifest, settings: RobustnessSettings, scale: int, seed: int
) -> DegradedSet | None:
    """The faces that are reported under ROBUSTNESS_PRESETS, made in ``folder`` or verified there; None if not asked.

    They are those of the test split, at most ``max_faces``, or of each set that stands in its place. Raises as
    ``freeze_degradations``.
    """
    if not settings.robustness:
        return None
    # imports torch, which those do not need who ask for nothing
    from facerecon.data.datasets import GATES, evaluation_faces

    names = [name for name in manifest.face_sets if name not in GATES] or ["test"]
    faces = [face for name in names for face in evaluation_faces(manifest, name, settings.max_faces).faces]
    return freeze_degradations(folder, manifest, ROBUSTNESS_PRESETS, manifest.size, scale, seed, faces)
