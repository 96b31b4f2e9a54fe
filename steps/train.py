"""Train the network."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
from facerecon.models.trained import TrainingResult
from facerecon.tasks import Cases
from facerecon.workspace import state_folder
from ops.initial_weights import InitialWeights
from ops.materializers.training_result import TrainingResultMaterializer
from steps.caching import CACHED


@step(cache_policy=CACHED, output_materializers=TrainingResultMaterializer, experiment_tracker=True)
def train(
    faces: Manifest,
    cases: Cases,
    task: str,
    settings: dict[str, Any],
    code: str,
    initial: InitialWeights | None = None,
) -> Annotated[TrainingResult, "training_result"]:
    """The best model and its curves; a killed training with the same settings, data and code resumes where it was."""
    from facerecon.experiment import Experiment
    from facerecon.files import digest_of
    from facerecon.models.trained import epoch_cost
    from ops.curves import log_row, name_predecessor, system_metrics
    from ops.machine import cpu_seconds, machine

    faces.check_crops()
    experiment = Experiment(task, settings, faces, cases, None if initial is None else initial.load())
    provenance = experiment.provenance | {"code": code}
    folder = state_folder() / "checkpoints" / digest_of(provenance)[:16]
    run, used = name_predecessor(folder), cpu_seconds()
    with system_metrics():
        result = experiment.train(folder, provenance, log_row)
    log_metadata(
        {
            **{"mlflow_run": run, "resumed at": result.resumed_at, "cpu seconds": round(cpu_seconds() - used, 1)},
            **{"speed": epoch_cost(result.history, len(faces.split("train")))},
            **machine(experiment.problem.training),
            **provenance,
        }
    )
    return result
