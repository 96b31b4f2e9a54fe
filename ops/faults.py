"""What can happen to a run, in one line: disk full, database locked, store gone, server away, stopped by a signal."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import requests
from botocore.exceptions import ConnectionError as S3ConnectionError
from botocore.exceptions import HTTPClientError

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder

NOTHING_LOST = "what is done is kept, so run the same command again"

GRACE = 60
"""Seconds that a run has to end once its time is over."""

TIME_OVER = 128 + signal.SIGTERM
"""Exit status of a run that its time limit has ended."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What stops a run: Ctrl-C, and `kill`."""


class StoppedError(FaceReconError):
    """A signal stopped the run; the exit status is that of a shell, 128 and the signal's number."""

    def __init__(self, message: str, exit_code: int = 128 + signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click asks the instance


class Stop(KeyboardInterrupt):  # an interrupt, which is no error, passes through what catches errors
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals end what is done inside by ``Stop``; processes that it forks are left to it to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Stop(number)
        if number != signal.SIGINT:  # Ctrl-C reaches all processes of a terminal
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(hours: float, setting: str) -> Iterator[None]:
    """End what is done inside after ``hours``, as SIGTERM would; ``setting`` names where the limit was set.

    What is stuck in native code, where no signal is looked at, has ``GRACE`` seconds more; then the process ends.

    Raises:
        StoppedError: the time is over.
    """
    over, ended = threading.Event(), threading.Event()
    message = f"stopped after {hours:g} h ({setting}), it may have hung: {NOTHING_LOST} to go on"

    def watch() -> None:
        if ended.wait(hours * 3600):
            return
        over.set()
        os.kill(os.getpid(), signal.SIGTERM)
        if not ended.wait(GRACE):
            print(f"Error: {message}", file=sys.stderr, flush=True)
            os._exit(TIME_OVER)

    with stoppable():
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        except (KeyboardInterrupt, StoppedError):
            if over.is_set():
                raise StoppedError(message, TIME_OVER) from None
            raise
        finally:
            ended.set()


@contextmanager
def clear_faults() -> Iterator[None]:
    """Turn what the machine did to a run, or who stopped it, into a FaceReconError that says what to do.

    Other errors pass as they are.
    """
    try:
        yield
    except FaceReconError:
        raise
    except KeyboardInterrupt as stop:
        number = getattr(stop, "number", signal.SIGINT)
        message = f"stopped by {signal.Signals(number).name}: {NOTHING_LOST} to go on"
        raise StoppedError(message, 128 + number) from None
    except Exception as error:
        if said := explain(error):
            raise FaceReconError(said) from error
        raise


def explain(error: BaseException) -> str | None:
    """One line on the first fault of the machine that ``error`` was caused by; None if it was none."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if said := _explain(cause):
            return said
        cause = cause.__cause__ or cause.__context__
    return None


def _of_container(error: Any) -> str:
    """What a step said in its container, or how that ended if it could say nothing."""
    lines = (error.stderr or b"").decode("utf-8", "replace").splitlines()
    said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    if said:
        return str(said[-1])
    return (
        f"a step's container ended with exit status {error.exit_status} and without a word (137: it was killed, or had "
        f"too little memory); {NOTHING_LOST}"
    )


def _explain(error: BaseException) -> str | None:
    text = " ".join(str(error).split())
    if (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    ) or "database or disk is full" in text:
        return f"no space is left on the disk of {state_folder()}: free some; {NOTHING_LOST}"
    if "database is locked" in text:
        return (
            "a database is locked by another program for too long (MLflow's or ZenML's): wait for it or end it; "
            f"{NOTHING_LOST}"
        )
    if "attempt to write a readonly database" in text or "unable to open database file" in text:
        return (
            f"a database cannot be written ({text[:200]}): mend its permissions, or run `make stack` if the folder "
            f"{state_folder()} was removed; {NOTHING_LOST}"
        )
    if type(error).__name__ == "ContainerError":  # of Docker's client, which is not imported for it
        return _of_container(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text or "CUDA out of memory" in text:
        return f"out of memory: lower training.batch_size or alignment.workers, or close other programs; {NOTHING_LOST}"
    if "DataLoader worker" in text:
        return f"a worker that loads faces was ended (out of memory?): lower training.loader_workers; {NOTHING_LOST}"
    if isinstance(error, OSError) and error.filename and str(error.filename).startswith(str(state_folder())):
        return (
            f"{error.filename}: {error.strerror}: is the state folder complete, and is it writable? "
            f"`facerecon doctor` looks; {NOTHING_LOST}"
        )
    if _is_outage(error):
        return f"a server does not answer as it should ({text[:200]}): see that it runs; {NOTHING_LOST}"
    return None


def _is_outage(error: BaseException) -> bool:
    """Whether a server could not be reached, or failed at what it was asked."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code >= 500
    if isinstance(error, BrokenPipeError):  # of a process of this machine
        return False
    away = (ConnectionError, requests.ConnectionError, requests.Timeout, S3ConnectionError, HTTPClientError)
    return isinstance(error, away)
