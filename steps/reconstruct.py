"""Fill what is hidden of faces, or restore them; never cached: what is there already is not made again."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.inference.settings import ReconstructionSettings, RestorationSettings


@step(enable_cache=False, experiment_tracker=True)
def reconstruct(
    settings: ReconstructionSettings | RestorationSettings, model: str, digest: str, fingerprint: str
) -> Annotated[list[dict[str, Any]], "reconstructions"]:
    """``model`` is the version that was champion when the run began, ``digest`` its file's, ``fingerprint`` that of
    what is to be reconstructed or restored."""
    from ops.reconstructing import reconstruct_all

    rows = reconstruct_all(settings, model, digest)
    log_metadata({"model": model, "digest": digest, "fingerprint": fingerprint, "reconstructions": len(rows)})
    return rows
