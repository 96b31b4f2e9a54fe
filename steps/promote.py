"""Register the model as challenger, and as champion if it beats the one there is."""

from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step

from facerecon.corruption.frozen import MaskSet
from facerecon.data.manifest import Manifest
from facerecon.evaluation.gate import Gate
from facerecon.evaluation.promotion import PromotionSettings
from facerecon.training.checkpoints import Training
from ops.code import code_digest
from ops.promotion import Grounds, challenge, champion_before, weights_licences
from ops.zenml_models import follow
from steps.caching import cache_of


@step(cache_policy=cache_of(__name__), experiment_tracker=True)
def promote(
    training: Training,
    model_uri: str,
    faces: Manifest,
    masks: MaskSet,
    config: str,
    licence: str,
    pretrained: list[str],
    promotion: PromotionSettings,
) -> tuple[Annotated[dict[str, Any], "decision"], Annotated[dict[str, Any], "comparison"]]:
    """The decision, and what both models make of a few faces; only the gate split decides, test is reported alone.

    ``licence`` is that of the data, ``pretrained`` names the weights that the run used beside the judges of the gate.
    """
    faces.check_crops()
    context, gate = get_step_context(), Gate(faces, masks, promotion)
    grounds = Grounds(
        rule=promotion,
        digests={"manifest_digest": faces.digest, "masks_digest": masks.digest, "gate_code": code_digest(__name__)},
        data_licence=licence,
        weights_licences=weights_licences([*pretrained, *promotion.judges]),
    )
    weights_uri = f"{context.inputs['training'][0].uri}/model.safetensors"
    by = context.pipeline_run.name
    decision = challenge(config, model_uri, weights_uri, training.best, gate.measure, grounds, by)
    follow()
    log_metadata({"version": decision["version"], "champion": decision["champion"], "reason": decision["reason"]})
    return decision, gate.compare(training.best, champion_before(decision))
