"""What the parts of a service share."""

from dataclasses import dataclass

from serving.access import Access
from serving.jobs import Jobs
from serving.metrics import Metrics
from serving.pool import Pool
from serving.served import Served
from serving.settings import ServeSettings
from serving.worker import VideoWorker


@dataclass(frozen=True)
class Service:
    """All that outlives a request. ``served`` is the model of inpainting, ``restoring`` that of restoration, None if
    there is none. ``software`` is what records say of this program."""

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
        """What is served of all tasks."""
        return (self.served,) if self.restoring is None else (self.served, self.restoring)
