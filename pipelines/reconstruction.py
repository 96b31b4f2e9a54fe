"""The reconstruction pipeline: photographs and clips in, by the promoted model, pictures with signed records out."""

from pathlib import Path
from typing import Any

from facerecon.inference.settings import use_settings
from facerecon.run import parse_as
from facerecon.workspace import PROJECT
from ops.pipeline import CheckedPipeline
from ops.reconstructing import EXPERIMENT, fingerprint, resolved
from steps.reconstruct import reconstruct

DEFAULT_FILE = PROJECT / "configs" / "reconstruction.yaml"
"""What a run without `-c` uses."""


def run_reconstruction(settings: dict[str, Any]) -> None:
    """One step; which versions are the champions is found out here, before the run, and is a parameter of it."""
    wanted = parse_as(use_settings, settings, "settings")
    reconstruct(settings=wanted, models=resolved(wanted), fingerprint=fingerprint(wanted))


reconstruction = CheckedPipeline(
    name="reconstruction",
    entrypoint=run_reconstruction,
    steps=("reconstruct",),
    default_file=Path(DEFAULT_FILE),
    settings_of=use_settings,
    experiment=EXPERIMENT,
)
"""What `zenml pipeline run reconstruction` runs."""
