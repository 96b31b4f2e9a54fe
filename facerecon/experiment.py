"""A training from its parts: what pipeline, command line and benchmarks share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facerecon.data.manifest import Manifest
from facerecon.files import digest_of
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.tasks import Cases, get_task
from facerecon.training.checkpoints import Provenance
from facerecon.training.loop import train
from facerecon.training.precision import precision_of


class Experiment:
    """A training of ``task`` on ``faces`` with frozen ``cases``, from the weights ``initial`` if given.

    ``values`` are the fields of a run's settings that the task's training needs. Raises FaceReconError if there is no
    face to train or validate on.
    """

    def __init__(
        self,
        task: str,
        values: Mapping[str, Any],
        faces: Manifest,
        cases: Cases,
        initial: TrainedModel | None = None,
    ) -> None:
        self.problem = get_task(task).training(dict(values), faces, cases, initial)
        # where it resumes, and by which name the initial weights were asked for, does not change what it ends with
        chosen = {key: value for key, value in values["training"].items() if key not in ("resume_from", "init_from")}
        self.provenance: Provenance = {
            "task": task,
            "settings": digest_of({**values, "training": chosen}),
            "data": faces.digest,
            "cases": cases.digest,
            "precision": precision_of(self.problem.training),
            "initial_weights": "none" if initial is None else initial.digest,
        }

    def train(
        self, folder: Path, provenance: Provenance, log: Callable[[Row], None] = lambda row: None
    ) -> TrainingResult:
        """Train with the checkpoint in ``folder``; see ``facerecon.training.loop.train``."""
        return train(self.problem, folder, provenance, log)
