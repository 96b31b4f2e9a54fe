"""What can happen to a machine while a pipeline runs, in one line: disk full, database locked, store gone."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder

NOTHING_LOST = "what is done is kept, so run the same command again"


@contextmanager
def clear_faults() -> Iterator[None]:
    """Turn what the machine did to a run into a FaceReconError that says what to do; other errors pass as they are."""
    try:
        yield
    except FaceReconError:
        raise
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
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text or "CUDA out of memory" in text:
        return f"out of memory: lower training.batch_size or alignment.workers, or close other programs; {NOTHING_LOST}"
    if "DataLoader worker" in text:
        return f"a worker that loads faces was ended (out of memory?): lower training.loader_workers; {NOTHING_LOST}"
    if isinstance(error, OSError) and error.filename and str(error.filename).startswith(str(state_folder())):
        return (
            f"{error.filename}: {error.strerror}: is the state folder complete, and is it writable? "
            f"`facerecon doctor` looks; {NOTHING_LOST}"
        )
    return None
