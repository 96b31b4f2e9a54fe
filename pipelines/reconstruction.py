"""The reconstruction pipeline: photographs and clips in, by the promoted model, pictures with signed records out."""

from pathlib import Path
from typing import Any

from facerecon.inference.settings import ReconstructionSettings
from facerecon.run import validated
from facerecon.workspace import PROJECT
from ops.pipeline import CheckedPipeline
from ops.reconstructing import EXPERIMENT, fingerprint, resolved
from steps.reconstruct import reconstruct

DEFAULT_FILE = PROJECT / "configs" / "reconstruction.yaml"
"""What a run without `-c` uses."""


def run_reconstruction(settings: dict[str, Any]) -> None:
    """One step; which versions are the champions is found out here, before the run, and is a parameter of it."""
    wanted = validated(ReconstructionSettings, settings, "settings")
    reconstruct(settings=wanted, models=resolved(wanted), fingerprint=fingerprint(wanted))


def _settings_of(task: str) -> type[ReconstructionSettings]:
    return ReconstructionSettings


reconstruction = CheckedPipeline(
    name="reconstruction",
    entrypoint=run_reconstruction,
    steps=("reconstruct",),
    default_file=Path(DEFAULT_FILE),
    settings_of=_settings_of,
    experiment=EXPERIMENT,
)
"""What `zenml pipeline run reconstruction` runs."""
