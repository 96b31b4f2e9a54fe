"""Freeze the evaluation masks."""

from typing import Annotated

from zenml import step

from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.corruption.settings import MaskSettings
from facerecon.workspace import state_folder
from ops.code import code_digest
from ops.materializers.masks import MaskSetMaterializer


@step(enable_cache=False, output_materializers=MaskSetMaterializer)
def make_masks(masks: MaskSettings, size: int) -> Annotated[MaskSet, "masks"]:
    """The frozen masks, one file per level and family, in a folder of this code's own.

    Files that are there are verified and kept, which ZenML's cache would not do.
    """
    folder = state_folder() / "masks" / code_digest(__name__)[:16]
    return build_mask_set(folder, size, masks.evaluation_families, masks.levels, masks.count, masks.seed)
