"""The account: what became of every file under the sources' roots and of every member of their archives."""

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import pandas as pd

from facerecon.data.quarantine import Code


class Class(StrEnum):
    """What a file is; each is of one class."""

    USED = "used"
    LIST = "list or companion"
    ARCHIVE = "archive that was opened"
    FRAME = "part of a clip"
    SYSTEM = "system or hidden"
    OTHER = "no picture, clip or archive"
    DUPLICATE = "duplicate"
    BEYOND = "beyond max_faces"
    QUARANTINED = "quarantined"


COLUMNS = ("source", "class", "kind", "files")
"""``kind`` is the suffix of what is no picture, and why something is quarantined or a duplicate; else ""."""

_FRAME = re.compile(r"#frame=\d+(&track=\d+)?$")

_DUPLICATES = {Code.DUPLICATE.value, Code.NEAR_DUPLICATE.value}


def counted(rows: Iterable[tuple[str, str, str]]) -> pd.DataFrame:
    """Rows of (source, class, kind), one a file, as a table of ``COLUMNS``."""
    counts = sorted(Counter(rows).items())
    return pd.DataFrame([(*row, files) for row, files in counts], columns=list(COLUMNS))


def account(passed_over: pd.DataFrame, faces: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """The whole account, a table of ``COLUMNS``.

    ``passed_over`` counts what is neither used nor quarantined; ``faces`` and ``quarantine`` are a manifest's tables.
    A photo, or clip, of which one face is used counts as used; a clip and a photo are one file, whatever was taken out
    of them.
    """
    used = {*zip(faces["source"], faces["clip"].where(faces["clip"] != "", faces["uri"]), strict=True)}
    rows = [(source, Class.USED.value, "") for source, _ in used]
    refused: dict[tuple[str, str], str] = {}
    for source, uri, code in zip(quarantine["source"], quarantine["uri"], quarantine["code"], strict=True):
        if (unit := (source, unit_of(uri))) not in used:
            refused.setdefault(unit, code)
    for (source, _), code in refused.items():
        of = Class.DUPLICATE if code in _DUPLICATES else Class.QUARANTINED
        rows.append((source, of.value, Code(code).meaning))
    whole = counted(rows), passed_over
    return pd.concat(whole).groupby(list(COLUMNS[:3]), as_index=False, sort=True).agg(files=("files", "sum"))


def unit_of(uri: str) -> str:
    """The file, or member of an archive, that a uri is of: a clip, of a frame that was taken out of it."""
    return _FRAME.sub("", uri)


def as_lines(table: pd.DataFrame) -> list[str]:
    """An account as lines for a log: a source and its classes a line."""
    lines = []
    for source, rows in table.groupby("source"):
        parts = [
            f"{row['files']} {row['class']}" + (f" ({row['kind']})" if row["kind"] else "")
            for row in rows.to_dict("records")
        ]
        lines.append(f"{source}: {rows['files'].sum()} files: {', '.join(parts)}")
    return lines


def from_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The inverse of ``as_rows``."""
    return pd.DataFrame(rows, columns=list(COLUMNS))


def as_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """An account as plain values, for JSON."""
    return [{str(key): value for key, value in row.items()} for row in table.astype(object).to_dict("records")]
