"""Train the network."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.manifest import Manifest
from facerecon.files import digest_of
from facerecon.models.settings import ModelSettings
from facerecon.training.checkpoints import Training
from facerecon.training.loop import origin_of
from facerecon.training.loop import train as train_model
from facerecon.training.settings import TrainingSettings
from facerecon.workspace import state_folder
from ops.code import code_digest
from ops.curves import log_row, name_predecessor, system_metrics
from ops.materializers.training import TrainingMaterializer
from steps.caching import cache_of


@step(cache_policy=cache_of(__name__), output_materializers=TrainingMaterializer, experiment_tracker=True)
def train(
    faces: Manifest,
    masks: MaskSet,
    mask_settings: MaskSettings,
    model_settings: ModelSettings,
    training: TrainingSettings,
    seed: int,
) -> Annotated[Training, "training"]:
    """The best model and its curves; a killed training with the same settings, data and code goes on where it was."""
    faces.check_crops()
    made_of = origin_of(faces, masks, mask_settings, model_settings, training, seed)
    origin = made_of | {"code": code_digest(__name__)}
    folder = state_folder() / "checkpoints" / digest_of(origin)[:16]
    run = name_predecessor(folder)
    draw = TrainingMasks(mask_settings, faces.size)
    with system_metrics():
        result = train_model(faces, masks, draw, model_settings, training, seed, folder, origin, log_row)
    log_metadata({"mlflow_run": run, "resumed at": result.resumed_at, **origin})
    return result
