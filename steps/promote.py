"""Register the model as challenger, and as champion if it beats the one there is."""

from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step

from facerecon.data.manifest import Manifest
from facerecon.evaluation.promotion import Decision
from facerecon.models.trained import TrainingResult
from facerecon.tasks import Cases, get_task
from steps.caching import CACHED


@step(cache_policy=CACHED, experiment_tracker=True)
def promote(
    training_result: TrainingResult,
    model_uri: str,
    faces: Manifest,
    cases: Cases,
    task: str,
    settings: dict[str, Any],
    config: str,
    licences: dict[str, str],
    pretrained: list[str],
    code: str,
    parent: str | None = None,
) -> tuple[Annotated[Decision, "decision"], Annotated[dict[str, Any], "comparison"]]:
    """The decision, and what both models make of a few faces; only the gate split decides, test is reported alone.

    ``licences`` are those of the data by source, ``pretrained`` names the pretrained weights that the run used,
    ``parent`` is the digest of the weights that the training started from.
    """
    from ops.promotion import Grounds, Origin, challenge, champion_before, weights_licences
    from ops.zenml_models import follow

    faces.check_crops()
    context, gate = get_step_context(), get_task(task).gate(settings, faces, cases)
    grounds = Grounds(
        rule=gate.rule.settings.model_dump(mode="json"),
        digests={
            **{"manifest_digest": faces.digest, "cases_digest": cases.digest, "gate_code": code},
            **({"sets_digest": faces.sets_digest} if faces.face_sets else {}),
        },
        data_licences=licences,
        weights_licences=weights_licences(pretrained),
    )
    weights_uri = f"{context.inputs['training_result'][0].uri}/model.safetensors"
    by = context.pipeline_run.name
    origin = Origin(faces, parent)
    decision = challenge(config, model_uri, weights_uri, training_result.best, gate, grounds, by, origin)
    follow()
    log_metadata({"code": code, "version": decision.version, "champion": decision.champion, "reason": decision.reason})
    return decision, gate.compare(training_result.best, champion_before(decision))
