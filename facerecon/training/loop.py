"""The training loop: the same for every task, on CPU and GPU and in several processes, resumable at any checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset

from facerecon.data.datasets import Mixed, StepSampler
from facerecon.errors import FaceReconError
from facerecon.evaluation.keys import Metric
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.progress import track
from facerecon.randomness import generator
from facerecon.training.checkpoints import Checkpointer, Provenance, exclusive
from facerecon.training.meter import Meter
from facerecon.training.objective import Objective, Progress
from facerecon.training.processes import launch
from facerecon.training.settings import LoopSettings


class TrainingProblem(Protocol):
    """What a task gives the loop: data, an objective, and a validation.

    ``training`` and ``seed`` are of the run's settings. The best checkpoint is that with the best
    ``checkpoint_metric``, which stands under the name ``checkpoint_key`` in ``validate``'s row.
    """

    training: LoopSettings
    seed: int
    checkpoint_metric: Metric
    checkpoint_key: str

    def dataset(self) -> Dataset[Any]:
        """The training samples, indexed by ``facerecon.data.datasets.Draw``. FaceReconError if there are none."""

    def sources(self) -> Sequence[str]:
        """The source of each training sample, in the order of ``dataset``."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch of samples, with a length, ``to(device)`` and ``pin_memory()``."""

    def objective(self, fabric: Fabric, new: bool) -> Objective:
        """The objective; in a ``new`` training with all that is initialised or fitted before the first step.

        Called once, right after torch's seed is set.
        """

    def validate(self, module: nn.Module, device: torch.device) -> Row:
        """Figures of the validated module on the val split, by the names under which they are logged."""

    def trained(self, module: nn.Module, step: int) -> TrainedModel:
        """The module's weights after so many steps."""

    def finish(self, best: TrainedModel, device: torch.device) -> TrainedModel:
        """The best model with what is fitted after the training."""


def train(
    problem: TrainingProblem,
    folder: Path,
    provenance: Provenance,
    log: Callable[[Row], None] = lambda row: None,
) -> TrainingResult:
    """Train, and return the best model.

    ``folder`` keeps the checkpoint; a run that finds its own there resumes from it and ends with the same weights.
    ``provenance`` is what the training is made from, and is kept with its state. ``log`` gets each point of the curves,
    those from before a resumption too.

    Raises:
        FaceReconError: no faces to train or validate on, or a checkpoint in ``folder`` or a ``resume_from`` that was
            made of something else.
        DivergedError: the loss is no longer finite.
    """
    settings, seed = problem.training, problem.seed
    fabric = launch(settings)
    first = fabric.is_global_zero
    checkpoint = Checkpointer(folder, provenance, fabric, problem.checkpoint_metric, problem.checkpoint_key)
    with exclusive(folder) if first else nullcontext(), cpu_threads(settings.threads), torch.random.fork_rng():
        if settings.resume_from and first:
            checkpoint.adopt(Path(settings.resume_from).expanduser())
        fabric.barrier()
        checkpoint.check()
        dataset = problem.dataset()
        torch.manual_seed(seed)
        objective = problem.objective(fabric, new=not checkpoint.exists)
        start = checkpoint.restore(objective)
        for row in checkpoint.history if first else ():
            log(row)
        if settings.validates_start and not checkpoint.history and first:
            checkpoint.history.append({"step": 0, **problem.validate(objective.module, fabric.device)})
            log(checkpoint.history[0])
        batches, meter = iter(_loader(problem, dataset, start, fabric)), Meter(settings, fabric)
        for step in track(range(start, settings.steps), "training", settings.steps - start):
            torch.manual_seed(step_seed(seed, step))
            accumulated = [batch.to(fabric.device) for batch in islice(batches, settings.accumulate)]
            losses = objective.step(accumulated, Progress(step, settings.steps))
            meter.update(losses, sum(map(len, accumulated)))
            if meter.due(step):
                row, validates = meter.compute(step, objective.learning_rates()), first and meter.validates(step)
                if validates:
                    row |= problem.validate(objective.module, fabric.device)
                checkpoint.history.append(row)
                if first:
                    log(row)
                if validates:
                    checkpoint.save(objective, row, problem.trained(objective.module, step + 1))
                meter.reset()
        fabric.barrier()
        best = problem.finish(checkpoint.best(), fabric.device)
        return TrainingResult(best, checkpoint.history, start, problem.checkpoint_key)


def _loader(problem: TrainingProblem, dataset: Any, start: int, fabric: Fabric) -> DataLoader[Any]:
    settings = problem.training
    batches, done = settings.steps * settings.accumulate, start * settings.accumulate
    share, mixed = (fabric.global_rank, fabric.world_size), _mixed(problem)
    return DataLoader(
        dataset,
        batch_sampler=StepSampler(len(dataset), settings.batch_size, batches, problem.seed, done, share, mixed),
        num_workers=settings.loader_workers,
        collate_fn=problem.collate,
        pin_memory=fabric.device.type == "cuda",
        persistent_workers=settings.loader_workers > 0,
    )


def _mixed(problem: TrainingProblem) -> Mixed | None:
    """The faces that have a share of their own; None where none have.

    Raises:
        FaceReconError: all or none of the faces are of the source that is to have it.
    """
    wanted = problem.training.source_share
    if wanted is None:
        return None
    chosen = np.array([source == wanted.source for source in problem.sources()])
    if chosen.all() or not chosen.any():
        raise FaceReconError(
            f"training.source_share.source: {'all' if chosen.all() else 'none'} of the training faces are of "
            f"'{wanted.source}': name one of several sources, or leave source_share out"
        )
    return Mixed(chosen, wanted.share)


def step_seed(seed: int, step: int) -> int:
    """The seed of what a network draws itself (dropout): the same for a step whether or not it was resumed at."""
    return int(generator(seed, step, "network").integers(2**63))


@contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """So many CPU threads meanwhile; what comes after in this process must not depend on whether training ran."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)
