"""Decide whether retraining is worth it."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.collected.collection import Collection
from facerecon.data.manifest import Manifest
from facerecon.retraining.plan import Plan
from facerecon.retraining.settings import DecisionSettings
from facerecon.tasks import Cases
from ops.initial_weights import InitialWeights


@step(enable_cache=False, experiment_tracker=True)
def decide(
    faces: Manifest,
    cases: Cases,
    task: str,
    settings: DecisionSettings,
    probe: dict[str, Any],
    attempt: dict[str, str],
    collection: Collection,
    champion: InitialWeights | None = None,
) -> Annotated[Plan, "plan"]:
    """The plan: train or not, with all that it rests on; MLflow has it of every run, whether it trains or not.

    ``probe`` has the settings of the task's probe, ``attempt`` what tells one training from another beside its data,
    ``collection`` what came of the new clips.
    """
    from ops.deciding import decide_on
    from ops.tracking import log_retraining

    plan = decide_on(faces, cases, task, settings, probe, attempt, champion)
    log_retraining(attempt["config"], plan, collection)
    log_metadata(plan.model_dump(mode="json", exclude_none=True))
    return plan
