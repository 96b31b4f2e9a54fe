"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` and show how far they are."""
    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=what,
        total=total,
        dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 15,
        leave=interactive,
        bar_format=None if interactive else "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}]\n",
    )
