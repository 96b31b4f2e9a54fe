"""What a layout keeps of a photo beside it: files of the same photo, and rows in lists.

Each source that has such files names them (``Source.companions``): only it knows where they lie.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Gone:
    """What goes of a data root: ``uris`` of photos and of whole clips, and ``people`` (identities) of whom all goes."""

    uris: frozenset[str]
    people: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Companion:
    """A file that goes with photos; with ``without`` it stays, and its bytes become what that makes of them.

    One that is to be told of ``by_hand`` cannot be opened here.
    """

    path: Path
    without: Callable[[bytes], bytes] | None = None
    by_hand: bool = False


Companions = Callable[[Path, Gone], Iterator[Companion]]
"""(root, what goes) -> the files that tell of it, in the order in which they may go: a later one can be found again
after the earlier ones are gone."""


def words(line: bytes) -> list[str]:
    """The words of a row, which blanks or commas part; none are empty."""
    return list(filter(None, re.split(r"[\s,]+", line.decode("utf-8", "surrogateescape"))))


def without_rows(content: bytes, named: Callable[[list[str]], bool]) -> bytes:
    """A list without the rows of whose words ``named`` is true; all others stay byte for byte.

    A line of one number alone is no row: it counts those below it, up to the next such line, and is corrected.
    """
    kept: list[bytes] = []
    dropped: dict[int, int] = {}
    count = -1
    for line in content.splitlines(keepends=True):
        row = words(line)
        if len(row) == 1 and row[0].isascii() and row[0].isdigit():
            count = len(kept)
        elif row and named(row):
            dropped[count] = dropped.get(count, 0) + 1
            continue
        kept.append(line)
    for place, rows in dropped.items():
        if place >= 0:
            kept[place] = with_last_number(kept[place], max(0, int(words(kept[place])[0]) - rows))
    return b"".join(kept)


def with_last_number(line: bytes, number: int) -> bytes:
    """The line with ``number`` in the place of the last one in it."""
    return re.sub(rb"\d+(?=\D*\Z)", b"%d" % number, line)
