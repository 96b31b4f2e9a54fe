"""Train the network."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.config.masks import MaskSettings
from facerecon.config.model import ModelSettings
from facerecon.config.training import TrainingSettings
from facerecon.corruption.frozen import load_mask_set
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.manifest import Manifest
from facerecon.files import digest_of
from facerecon.training.checkpoints import Training
from facerecon.training.loop import train as train_model
from ops.lineage import code_digest
from ops.materializers.training import TrainingMaterializer
from ops.paths import state_folder
from ops.tracking import log_row
from steps.caching import CACHE


@step(cache_policy=CACHE, output_materializers=TrainingMaterializer, experiment_tracker=True)
def train(
    faces: Manifest,
    masks: dict[str, Any],
    mask_settings: MaskSettings,
    model_settings: ModelSettings,
    training: TrainingSettings,
    seed: int,
) -> Annotated[Training, "training"]:
    """The best model and its curves; a killed training with the same settings, data and code goes on where it was."""
    faces.check_crops()
    frozen = load_mask_set(state_folder() / "masks", masks)
    chosen = [part.model_dump(mode="json") for part in (mask_settings, model_settings, training)]
    key = digest_of([chosen, seed, faces.digest, frozen.digest, code_digest()])[:16]
    result = train_model(
        faces,
        frozen,
        TrainingMasks(mask_settings, faces.size),
        model_settings,
        training,
        seed,
        state_folder() / "checkpoints" / key,
        log_row,
    )
    log_metadata({"weights digest": result.best.digest, "best step": result.best.step, "resumed at": result.resumed_at})
    return result
