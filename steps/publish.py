"""Put what the run made where people and DVC find it, and tell MLflow and ZenML; never cached."""

from typing import Annotated, Any

from zenml import step
from zenml.types import HTMLString

from facerecon.data.collected.collection import Collection
from facerecon.data.manifest import Manifest
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import Decision
from facerecon.export.result import ExportedModel
from facerecon.models.trained import TrainingResult
from facerecon.retraining.plan import Plan
from facerecon.tasks import Cases
from facerecon.workspace import outputs_folder
from ops.initial_weights import InitialWeights


@step(enable_cache=False, experiment_tracker=True)
def publish(
    settings: dict[str, Any],
    faces: Manifest,
    cases: Cases,
    training_result: TrainingResult,
    evaluation: Evaluation,
    exported: ExportedModel,
    decision: Decision,
    comparison: dict[str, Any],
    data_docs: DataDocs,
    account: list[dict[str, Any]],
    code: dict[str, str],
    provenance: dict[str, str],
    about: dict[str, str],
    folder: str,
    others: dict[str, InitialWeights] | None = None,
    plan: Plan | None = None,
    collection: Collection | None = None,
) -> Annotated[HTMLString, "report"]:
    """Write ``outputs/<folder>/``, log the same files and all figures, say where everything is; the report is shown.

    ``comparison`` holds faces as champion and challenger make them, ``code`` the digest of the code that each step
    reaches, ``provenance`` what is known of the run before it starts, ``about`` what further tags it has.
    Of a retraining, ``others`` are the models beside which the new one was measured.
    """
    from facerecon.run import parse_settings
    from ops.publishing import Publication

    run = parse_settings(settings, "settings")
    publication = Publication(
        run,
        faces,
        cases.digest,
        training_result,
        evaluation,
        exported,
        decision,
        comparison,
        data_docs,
        account,
        code,
        provenance | about,
        others or {},
        plan,
        collection,
    )
    place = outputs_folder() / folder
    publication.write(place)
    publication.log(place)
    publication.announce(place)
    return HTMLString((place / "report.html").read_text(encoding="utf-8"))
