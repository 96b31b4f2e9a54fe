"""One retraining at a time in this clone, whoever starts it: a person, a timer, or `facerecon watch`.

A lock file in the state folder, with the holder's process id and start. The system frees it when the process dies,
however it dies; what the file says then blocks nobody. Machines that work with one registry, and pods that share a
claim, where locks of files may be none, respect a lease.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder

_held: set[int] = set()


class UnderWayError(FaceReconError):
    """Another retraining is under way, which is no fault: the process ends with exit status 0."""

    exit_code = 0

    def show(self, file: object = None) -> None:
        """Print the message as it is."""
        click.echo(self.message)


@contextmanager
def retraining_lock(name: str) -> Iterator[None]:
    """Nobody else is inside under the same ``name``.

    Raises:
        UnderWayError: somebody is; it says since when, and who.
    """
    path = state_folder() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _held.add(stream)
    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnderWayError(f"{name} under way{_holder(stream)}") from None
        os.ftruncate(stream, 0)
        os.pwrite(stream, f"{os.getpid()} {int(time.time())}\n".encode(), 0)
        yield
    finally:
        if stream in _held:
            _held.remove(stream)
            os.close(stream)


@contextmanager
def retraining_lease(name: str) -> Iterator[None]:
    """Of all who work with the active stack's registry nobody else is inside under the same ``name``.

    Raises:
        UnderWayError: somebody is; it says who.
        FaceReconError: the stack's shared place does not answer.
    """
    # imported when it is used: who forgets, or runs by the clock, needs neither MLflow nor S3's client
    from ops.shared.lease import holder, lease
    from ops.shared.place import shared_place

    place = shared_place()
    if place is None:
        yield
        return
    with lease(place, name, wait=False) as held:
        if held is None:
            raise UnderWayError(f"{name} under way elsewhere: its lease {holder(place, name)}")
        yield


def _holder(stream: int) -> str:
    try:
        pid, start = map(int, os.pread(stream, 100, 0).split())
    except ValueError:
        return ""  # it has not written itself down yet
    since = datetime.fromtimestamp(start)
    form = "%H:%M" if since.date() == datetime.now().date() else "%Y-%m-%d %H:%M"
    return f" since {since.strftime(form)}, pid {pid}"


def _let_go() -> None:
    """A forked worker that outlives its killed parent would hold the lock on."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)
