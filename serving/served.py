"""A model that is served, and following the champion: a new version is loaded and warm before it is used."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Event, Lock

import numpy as np

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.errors import FaceReconError
from facerecon.inference.chain import Chain
from facerecon.inference.frames import HIDDEN, Frame
from facerecon.inference.making import Model, Request, RestorationRequest, Wanted, networks_of, stages_of
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.stage import Runtime, StageRecord
from ops.using import has_champion, is_file, model_in_use
from serving.problems import ProblemError

LOG = logging.getLogger(__name__)

_SIDE = 128
_POINTS = ((45.0, 50.0), (83.0, 50.0), (64.0, 72.0), (50.0, 92.0), (78.0, 92.0))
"""A blank picture's side, and where a face could be in it: networks run once before they are used."""


@dataclass(eq=False)
class Loaded:
    """A model, what it says of itself, and runtimes with its networks that nobody uses now."""

    model: Model
    facts: StageRecord
    threads: int
    free: list[Runtime] = field(default_factory=list)


_WANTED: dict[str, Callable[..., Wanted]] = {
    INPAINTING.task: partial(Request, masked=True),
    RESTORATION.task: RestorationRequest,
    LANDMARKS.task: MeasurementRequest,
}
"""What is asked for of the blank picture, by task."""


_TRAINED_BY = {
    INPAINTING.task: "zenml pipeline run training",
    RESTORATION.task: "zenml pipeline run training -c configs/restoration.yaml",
    LANDMARKS.task: "zenml pipeline run training -c configs/landmarks.yaml",
}
"""The commands that train a first model, by task."""


class Served:
    """The model of ``task`` that ``wanted`` names, for any number of threads; ``count`` runtimes are kept warm.

    None as ``wanted`` is the task's one champion: as long as there is none, nothing is served, and ``follow`` waits.

    Raises:
        FaceReconError: what is named is not there, several could be meant, or the registry does not answer.
    """

    def __init__(self, wanted: str | None, threads: int, count: int, task: str = INPAINTING.task) -> None:
        self.wanted, self.task, self._threads, self._count = wanted, task, threads, count
        self._lock = Lock()
        self.is_file = wanted is not None and is_file(wanted)
        self.trouble = ""
        """Why the champion cannot be followed now; "" while it can."""
        is_there = wanted is not None or has_champion(task)
        self._current = self._load(model_in_use(wanted, task)) if is_there else None

    @property
    def loaded(self) -> Loaded | None:
        """What is served now; None as long as the task has no champion."""
        return self._current

    @property
    def current(self) -> Loaded:
        """What is served now; raises as ``check``."""
        self.check()
        assert self._current is not None
        return self._current

    def check(self) -> None:
        """See that something is served: what is loaded once is there for good.

        Raises:
            ProblemError: nothing yet.
        """
        if self._current is None:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, self.missing, {"retry-after": "10"})

    @property
    def missing(self) -> str:
        """What is said as long as nothing is served."""
        if self.trouble:
            return f"no model of {self.task} is served yet, and the champion cannot be followed: the log says more"
        remedy = "once `facerecon promote CONFIG/VERSION` makes one, it is served"
        return f"no model of {self.task} has a champion yet: {remedy}; `{_TRAINED_BY[self.task]}` trains one"

    @contextmanager
    def runtime(self, own: bool = False) -> Iterator[tuple[Model, Runtime]]:
        """The model, and a runtime with its networks for the block: a warm one, or one of its ``own`` for long work.

        Raises:
            ProblemError: nothing is served yet.
        """
        with self._lock:
            loaded = self.current
            runtime = loaded.free.pop() if loaded.free and not own else None
        if runtime is None:
            runtime = _warm(loaded.model, self._threads, self.task)[0]
        try:
            yield loaded.model, runtime
        finally:
            with self._lock:
                kept = loaded is self._current and len(loaded.free) < self._count
                if kept:
                    loaded.free.append(runtime)
            if not kept:
                runtime.close()

    def follow(self, stop: Event, seconds: float) -> None:
        """Ask the registry every so many seconds until ``stop``; whatever it answers, something is served."""
        while not stop.wait(seconds):
            try:
                self.look()
                said = ""
            except FaceReconError as error:
                said = error.message
            # whatever MLflow, a database or a network raises: what is loaded is served on
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            if said and said != self.trouble:
                LOG.warning("%s is served meanwhile: %s", self._now, said)
            elif self.trouble and not said:
                LOG.warning("the registry answers again")
            self.trouble = said

    def look(self) -> None:
        """Take what the registry names now, if it names anything yet.

        Raises:
            FaceReconError: it does not answer, names nothing any more, or what cannot be used.
        """
        from ops.registry import config_of, find_version
        from ops.using import model_of_version

        before = self._current
        if before is None and not has_champion(self.task):
            return
        version = find_version(self.wanted or "@champion", self.task)
        found = (config_of(version.name), str(version.version))
        if before is not None and found == (before.model.name, before.model.version):
            return
        was, loaded = self._now, self._load(model_of_version(version))
        with self._lock:
            self._current = loaded
            left = _taken(before)
        for runtime in left:
            runtime.close()
        LOG.warning("%s is served now, before it %s", loaded.model, was)

    def close(self) -> None:
        """Free what is not used."""
        with self._lock:
            left = _taken(self._current)
        for runtime in left:
            runtime.close()

    @property
    def _now(self) -> str:
        """What is served, as the log calls it."""
        loaded = self._current
        return f"no model of {self.task}" if loaded is None else str(loaded.model)

    def _load(self, model: Model) -> Loaded:
        made = [_warm(model, self._threads, self.task) for _ in range(self._count)]
        return Loaded(model, made[0][1], self._threads, [runtime for runtime, _ in made])


def _taken(loaded: Loaded | None) -> list[Runtime]:
    """What nobody uses of a model, which keeps nothing of it."""
    if loaded is None:
        return []
    left, loaded.free = loaded.free, []
    return left


def _warm(model: Model, threads: int, task: str) -> tuple[Runtime, StageRecord]:
    """A runtime that holds all networks, each of which has run once, and what the model's stage says of itself."""
    runtime = Runtime(threads, {model.digest: model.content})
    image = np.full((_SIDE, _SIDE, 3), 127, np.uint8)
    hidden = np.zeros((_SIDE, _SIDE), bool)
    hidden[60:80, 50:80] = True
    try:
        for points in (None, _POINTS):
            request = _WANTED[task](model, points=points)
            given = request.given()
            with Chain(stages_of(request.steps()), runtime, given) as chain:
                list(chain.run([Frame(image, hidden=hidden if HIDDEN in given else None)]))
                (facts,) = networks_of(chain.describe())
    except BaseException:
        runtime.close()
        raise
    return runtime, facts


def loaded_tasks(served: Iterable[Served]) -> list[str]:
    """The tasks of which a model is loaded."""
    return [each.task for each in served if each.loaded is not None]
