"""What the parts of a service share."""

from dataclasses import dataclass
from http import HTTPStatus

from facerecon.contract import INPAINTING
from serving.access import Access
from serving.jobs import Jobs
from serving.metrics import Metrics
from serving.pool import Pool
from serving.problems import ProblemError
from serving.served import Served
from serving.settings import ServeSettings
from serving.worker import VideoWorker


@dataclass(frozen=True)
class Service:
    """All that outlives a request. ``served`` is the model of inpainting, ``restoring`` that of restoration, None if
    none is named and no registry is followed. ``software`` is what records say of this program."""

    settings: ServeSettings
    served: Served
    restoring: Served | None
    pool: Pool
    access: Access
    metrics: Metrics
    software: dict[str, str]
    jobs: Jobs
    videos: VideoWorker

    @property
    def all_served(self) -> tuple[Served, ...]:
        """What is served of all tasks, or will be once it has a champion."""
        return (self.served,) if self.restoring is None else (self.served, self.restoring)

    def of_task(self, task: str) -> Served:
        """What is served of a task.

        Raises:
            ProblemError: nothing, or nothing yet.
        """
        if task == INPAINTING.task:
            served = self.served
        elif self.restoring is not None:
            served = self.restoring
        else:
            raise ProblemError(HTTPStatus.CONFLICT, self.not_restoring)
        served.check()
        return served

    @property
    def any_loaded(self) -> Served:
        """One with a model, whatever its task.

        Raises:
            ProblemError: none has one yet.
        """
        return next((each for each in self.all_served if each.loaded is not None), None) or self.of_task(
            INPAINTING.task
        )

    @property
    def not_restoring(self) -> str:
        """What is said as long as nothing can be restored."""
        if self.restoring is None:
            return "no model of restoration is served: start `facerecon serve` with --restore-model"
        return self.restoring.missing
