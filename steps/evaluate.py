"""Measure the model beside its baselines on people it never saw."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluation import Evaluation
from facerecon.models.trained import TrainingResult
from facerecon.tasks import Cases, get_task
from ops.initial_weights import InitialWeights
from ops.materializers.evaluation import EvaluationMaterializer
from steps.caching import CACHED


@step(cache_policy=CACHED, output_materializers=EvaluationMaterializer)
def evaluate(
    training_result: TrainingResult,
    faces: Manifest,
    cases: Cases,
    task: str,
    settings: dict[str, Any],
    code: str,
    others: dict[str, InitialWeights] | None = None,
) -> Annotated[Evaluation, "evaluation"]:
    """Scores of the model and its baselines on the test split, and those of ``others`` beside, under their labels."""
    faces.check_crops()
    log_metadata({"code": code})
    beside = {label: weights.load() for label, weights in (others or {}).items()}
    return get_task(task).evaluate(settings, training_result.best, faces, cases, beside)
