"""The results as they are measured: JSON lines, each whole on the disk before the next cell begins.

A row has ``row``: "call" (the machine, the commit, the packages; once a call), "cell" (a part's cell with its figures
and its ``outcome``), "part" (how a part ended), or "judged" (figures taken at home of a model that came back).
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facerecon.errors import FaceReconError

FILE = "results.jsonl"

OK, OUT_OF_MEMORY, CUT_OFF = "ok", "out of memory", "cut off"
"""Outcomes of a cell; any other says in words what failed."""

Row = dict[str, Any]


def append(file: Path, row: Mapping[str, Any]) -> None:
    """Append a row; it is on the disk when this returns. A line that a killed process left torn is ended first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, allow_nan=False) + "\n"
    with file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                line = "\n" + line
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read(file: Path) -> list[Row]:
    """The rows of a file, without lines that a killed process left torn; none where there is no file."""
    rows: list[Row] = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return [row for row in rows if isinstance(row, dict) and "row" in row]


class CutOffError(Exception):
    """A part's time is up."""


@dataclass
class Recorder:
    """Measures the cells of one part and appends them to ``file``; the part's time is up at ``deadline``, by the clock
    of ``time.monotonic``."""

    file: Path
    call: str
    part: str
    deadline: float
    failed: int = 0

    def left(self) -> float:
        """Seconds that are left; at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self, needs: float = 0.0) -> None:
        """Raise CutOffError unless more than so many seconds are left."""
        if self.left() <= needs:
            raise CutOffError

    def measure(self, cell: str, figures: Callable[[], Mapping[str, Any]], needs: float = 0.0, **about: Any) -> Row:
        """Take the figures of one cell, append them, and give the row; what goes wrong is its outcome, not the end.

        With fewer seconds left than it ``needs`` it is not begun.
        """
        since, outcome = time.monotonic(), OK
        found: dict[str, Any] = {}
        try:
            self.check(needs)
            found = dict(figures())
        except CutOffError:
            outcome = CUT_OFF
        except torch.OutOfMemoryError:
            outcome = OUT_OF_MEMORY
        except Exception as error:  # one cell's failure must not cost the others
            outcome = _told(error)
            self.failed += 1
        if outcome != OK and torch.cuda.is_available():
            torch.cuda.empty_cache()
        row = {"row": "cell", "call": self.call, "part": self.part, "cell": cell, **about, **found}
        row |= {"outcome": outcome, "seconds": round(time.monotonic() - since, 2)}
        append(self.file, row)
        numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
        print(json.dumps({f"{self.part}: {cell}": outcome, **numbers}), flush=True)
        return row


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else ""
    return first if isinstance(error, FaceReconError) else f"{type(error).__name__}: {first}"[:300]
