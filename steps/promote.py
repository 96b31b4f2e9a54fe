"""Register the model as challenger, and as champion if it beats the one there is."""

from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step

from facerecon.config.promotion import PromotionSettings
from facerecon.corruption.frozen import load_mask_set
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluate import gate_scores
from facerecon.training.checkpoints import Training
from ops.paths import state_folder
from ops.registry import challenge
from steps.caching import CACHE


@step(cache_policy=CACHE, experiment_tracker=True)
def promote(
    training: Training,
    model_uri: str,
    faces: Manifest,
    masks: dict[str, Any],
    config: str,
    promotion: PromotionSettings,
) -> Annotated[dict[str, Any], "decision"]:
    """The decision and its figures; only the gate split decides, the test split is reported alone."""
    faces.check_crops()
    frozen = load_mask_set(state_folder() / "masks", masks)
    decision = challenge(
        config,
        model_uri,
        f"{get_step_context().inputs['training'][0].uri}/model.safetensors",
        training.best,
        {"manifest_digest": faces.digest, "masks_digest": frozen.digest},
        lambda model: gate_scores(model, faces, frozen, promotion.max_faces),
        promotion.margin,
    )
    log_metadata({"version": decision["version"], "champion": decision["champion"], "reason": decision["reason"]})
    return decision
