"""Measure the model beside its baselines on people it never saw."""

from typing import Annotated

from zenml import step

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluate import Evaluation
from facerecon.evaluation.evaluate import evaluate as evaluate_model
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.training.checkpoints import Training
from ops.materializers.evaluation import EvaluationMaterializer
from steps.caching import cache_of


@step(cache_policy=cache_of(__name__), output_materializers=EvaluationMaterializer)
def evaluate(
    training: Training,
    faces: Manifest,
    masks: MaskSet,
    mask_settings: MaskSettings,
    evaluation: EvaluationSettings,
    taught_by: list[str],
) -> Annotated[Evaluation, "evaluation"]:
    """Figures per level and family on the test split; ``taught_by`` names the networks in the loss."""
    faces.check_crops()
    return evaluate_model(training.best, faces, masks, evaluation, mask_settings.evaluate_features, taught_by)
