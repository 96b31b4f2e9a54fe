"""Fill what is hidden of faces, restore or measure them; never cached: what is there already is not made again."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.inference.settings import MeasurementSettings, ReconstructionSettings, RestorationSettings


@step(enable_cache=False, experiment_tracker=True)
def reconstruct(
    settings: ReconstructionSettings | RestorationSettings | MeasurementSettings,
    models: list[tuple[str, str]],
    fingerprint: str,
) -> Annotated[list[dict[str, Any]], "reconstructions"]:
    """``models`` are the versions that were champions when the run began, with their files' digests, ``fingerprint``
    is that of what is to be reconstructed, restored or measured."""
    from ops.reconstructing import reconstruct_all

    rows = reconstruct_all(settings, models)
    log_metadata({"models": dict(models), "fingerprint": fingerprint, "reconstructions": len(rows)})
    return rows
