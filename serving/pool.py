"""What is made at once and what waits: worker threads behind a bounded queue."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar, cast

from serving.problems import ClientGoneError, ProblemError

T = TypeVar("T")


class Pool:
    """``workers`` threads; at most ``queue`` requests more are held, their uploads included. Of the event loop."""

    def __init__(self, workers: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._workers, self._places = workers, workers + queue
        self._seconds = 0.2
        """A recent mean of how long one takes."""
        self.held = 0
        """Requests that have a place now."""
        self.draining = False

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place for one request, taken before its body is read.

        Raises:
            ProblemError: there is none.
        """
        if self.draining:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "the service is about to end", {"retry-after": "10"})
        if self.held >= self._places:
            after = max(1, math.ceil(self._places * self._seconds / self._workers))
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"too many requests: {self.held} are being made or wait; try again in {after} s",
                {"retry-after": str(after)},
            )
        self.held += 1
        place = Place(self)
        try:
            yield place
        finally:
            if place.running is None or place.running.done():
                self.held -= 1
            else:
                # nobody waits for it, but it cannot be stopped: only then its place is free
                loop = asyncio.get_running_loop()
                place.running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._freed))

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have a worker do it."""

        def timed() -> T:
            begun = monotonic()
            try:
                return work()
            finally:
                self._seconds += 0.1 * (monotonic() - begun - self._seconds)

        return self._threads.submit(timed)

    def close(self) -> None:
        """End the threads once they have done what they do; what waits is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _freed(self) -> None:
        self.held -= 1


class Place:
    """A request's place in the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.running: Future[Any] | None = None

    async def run(self, work: Callable[[], T], gone: Callable[[], Awaitable[None]]) -> T:
        """What ``work`` returns, done by a worker.

        Raises:
            ClientGoneError: ``gone`` returned first; what was still waiting is dropped.
        """
        future = self._pool.submit(work)
        self.running = future
        made = asyncio.wrap_future(future)
        watching: asyncio.Future[None] = asyncio.ensure_future(gone())
        try:
            await asyncio.wait(cast("set[asyncio.Future[Any]]", {made, watching}), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            if not made.done():
                future.cancel()
        if not made.done():
            made.add_done_callback(_looked_at)
            raise ClientGoneError
        return made.result()


def _looked_at(made: "asyncio.Future[Any]") -> None:
    if not made.cancelled():
        made.exception()
