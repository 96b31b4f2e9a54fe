"""Processes that draw: the same bytes on every processor, however many of them there are."""

import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

T = TypeVar("T")

WORKER_ENVIRONMENT = {
    # the work is split over processes already
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # wider instructions than AVX2 round differently, and a pixel in a million falls on the other side
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    # "?" stands behind what this processor lacks: OpenCV complains of being told to do without that
    "OPENCV_CPU_DISABLE": ",".join(re.findall(r"AVX512[\w-]*(?![\w?-])", cv2.getCPUFeaturesLine())),
}
"""What the libraries read when a worker loads them, before any code of ours runs there."""


def in_workers(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """What ``function`` gives for each of the ``jobs`` (its arguments), in their order; an error ends it."""
    # spawned, not forked: the caller may have threads (torch, progress bars) that do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        with _alike_on_all_processors():
            pending = [pool.submit(function, *job) for job in jobs]
        try:
            for future in pending:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _alike_on_all_processors() -> Iterator[None]:
    """Processes started within compute on one thread, with instructions that all x86-64 processors of today have."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
