"""Who is in a photo by the names of folders, and how names are compared."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from facerecon.errors import FaceReconError

Parts = tuple[str, ...]
"""The folders that a photo lies in, from the root down, without its own name."""

_BATCH = re.compile(
    r"(train(ing)?|val(id(ation)?)?|test(ing)?|dev|eval(uation)?|holdout|split|fold|part|batch|chunk|shard|subset|set)"
    r"(s|[-_. ]?(set|data|split|images|photos|faces))?([-_. ]?\d+)?",
    re.IGNORECASE,
)
"""Names of folders that part a data set and name nobody."""


def person_name(identity: str | None) -> str:
    """A person's name as all sources compare it: composed (Unicode's NFC), without blanks at its ends; "" of nobody."""
    return unicodedata.normalize("NFC", identity).strip() if identity else ""


def names_alike(names: set[str]) -> list[list[str]]:
    """Groups of names that differ only by case."""
    alike = defaultdict(list)
    for name in sorted(names):
        alike[name.casefold()].append(name)
    return [group for group in alike.values() if len(group) > 1]


def named_by_folders(folders: Sequence[Parts], level: int | None, where: str) -> list[str | None]:
    """The person of each photo by the folders it lies in; None where they name nobody.

    With ``level`` it is the folder on that level, 1 the first below the root, -1 the photo's own; 0 names nobody.
    Without it the first one, but for wrappers: while a level has one folder and further folders lie below it, it is
    passed over. Photos that lie beside folders of people are of nobody, and change nothing about others. ``where``
    names the data in the error.

    Raises:
        FaceReconError: the folders on the level found part a data set (train, val, part_1): they name nobody.
    """
    if level is not None:
        return [_at(parts, level) for parts in folders]
    start = 0
    while _is_wrapper({parts[start : start + 2] for parts in folders if len(parts) > start}):
        start += 1
    found = sorted({parts[start] for parts in folders if len(parts) > start})
    batches = [name for name in found if _BATCH.fullmatch(name)]
    if len(batches) > 1 or (batches and batches == found):  # a single one among others may be called so
        deeper = any(len(parts) > start + 1 and parts[start] in batches for parts in folders)
        remedy = f"set data.identity_level: {start + 2 if deeper else 0}" + ("" if deeper else ", which names nobody")
        raise FaceReconError(
            f"{where}: the folders {', '.join(batches[:4])} part the data and name no person, so one could be in "
            f"several splits: {remedy}; or {start + 1} if these are people"
        )
    return [parts[start] if len(parts) > start else None for parts in folders]


def _at(parts: Parts, level: int) -> str | None:
    if level == 0 or abs(level) > len(parts):
        return None
    return parts[level - 1 if level > 0 else level]


def _is_wrapper(heads: set[Parts]) -> bool:
    """Whether a level, of which these are each photo's folder and the next one, has one folder with others below.

    A folder of photos with one folder of more photos in it is a person's.
    """
    below = sum(len(head) > 1 for head in heads)
    return len({head[0] for head in heads}) == 1 and (below > 1 or below == len(heads) == 1)
