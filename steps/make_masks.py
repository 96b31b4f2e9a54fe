"""Freeze the evaluation masks."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.config.masks import MaskSettings
from facerecon.corruption.frozen import build_mask_set
from ops.paths import state_folder


@step(enable_cache=False)
def make_masks(masks: MaskSettings, size: int) -> Annotated[dict[str, Any], "masks"]:
    """The description of the frozen masks: files by name and digest, one per level and family.

    Files that are there are verified and kept, which ZenML's cache would not do.
    """
    frozen = build_mask_set(
        state_folder() / "masks", size, masks.evaluation_families, masks.levels, masks.count, masks.seed
    )
    log_metadata({"digest": frozen.digest, "files": len(frozen.masks)})
    return frozen.description
