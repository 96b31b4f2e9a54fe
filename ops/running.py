"""Runs and forgetting do not meet: what is removed is not what a run is about to read.

A lock file in the state folder: any number of runs share it, who forgets has it alone. The system frees it when a
process dies.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder
from ops.retraining_lock import UnderWayError, retraining_lock


@contextmanager
def running() -> Iterator[None]:
    """A run is under way inside.

    Raises:
        FaceReconError: somebody is being forgotten.
    """
    with _lock(fcntl.LOCK_SH, "somebody is being forgotten in this clone: run again when `facerecon forget` has ended"):
        yield


@contextmanager
def nothing_running() -> Iterator[None]:
    """No run is under way inside.

    Raises:
        FaceReconError: one is, a retraining has begun, or somebody is being forgotten already.
    """
    said = "a run, or another `facerecon forget`, is under way in this clone: wait until it has ended, or end it"
    with _lock(fcntl.LOCK_EX, said):
        try:
            with retraining_lock("retraining"):
                pass  # one that begins now does not get as far as its run
        except UnderWayError as error:
            raise FaceReconError(f"{error.message}: wait until it has ended, or end it") from error
        yield


@contextmanager
def _lock(kind: int, refusal: str) -> Iterator[None]:
    path = state_folder() / "running.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FaceReconError(refusal) from error
        yield
