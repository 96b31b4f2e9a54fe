"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 20


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` and show on standard error how far they are; their length is ``total`` where they know none."""
    total = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore[arg-type]
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, dynamic_ncols=True, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = f", about {(now - start) / done * (total - done):.0f} s left" if total and done else ""
            print(f"{what}: {done} of {total or '?'}{left}", file=sys.stderr, flush=True)
        yield item
