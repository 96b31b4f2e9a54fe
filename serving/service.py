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
from serving.settings import OPTIONS, ServeSettings
from serving.worker import VideoWorker


@dataclass(frozen=True)
class Service:
    """All that outlives a request. ``served`` has the model of each task, or waits for it; a task of which none is
    named while no registry is followed is not among them. ``software`` is what records say of this program."""

    settings: ServeSettings
    served: tuple[Served, ...]
    pool: Pool
    access: Access
    metrics: Metrics
    software: dict[str, str]
    jobs: Jobs
    videos: VideoWorker

    def of_task(self, task: str) -> Served:
        """What is served of a task.

        Raises:
            ProblemError: nothing, or nothing yet.
        """
        served = self._of_task(task)
        if served is None:
            raise ProblemError(HTTPStatus.CONFLICT, self.lacking(task))
        served.check()
        return served

    @property
    def any_loaded(self) -> Served:
        """One with a model, whatever its task.

        Raises:
            ProblemError: none has one yet.
        """
        return next((each for each in self.served if each.loaded is not None), None) or self.of_task(INPAINTING.task)

    def lacking(self, task: str) -> str:
        """What is said as long as nothing of a task is served."""
        served = self._of_task(task)
        if served is None:
            return f"no model of {task} is served: start `facerecon serve` with {OPTIONS[task]}"
        return served.missing

    def _of_task(self, task: str) -> Served | None:
        return next((each for each in self.served if each.task == task), None)
