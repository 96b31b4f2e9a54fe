"""Rows of trainings that run side by side, and a table that goes on where it was."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch

from benchmarks.command import write_result
from facerecon.errors import DivergedError
from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.comparison import CONFIDENCE, RESAMPLES, SEED
from facerecon.evaluation.evaluation import TEST
from facerecon.evaluation.promotion import MODEL
from facerecon.workspace import benchmarks_folder


@dataclass(frozen=True)
class Row:
    """A row of a table: its ``name``; a subclass says what is changed in it."""

    name: str


AnyRow = TypeVar("AnyRow", bound=Row)

Run = dict[str, Any]
"""What a training of a row gave, its ``seed`` among it."""


def add_options(parser: ArgumentParser, rows: Sequence[Row], name: str, minutes: float, split: str, faces: int) -> None:
    """Give ``parser`` the options of a table of ``rows`` by its ``name``, with what is usual in it."""
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--rows", default=",".join(row.name for row in rows), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=1, help="of rows that have several, at most")
    parser.add_argument("--split", choices=["val", TEST], default=split)
    parser.add_argument("--faces", type=int, default=faces)
    parser.add_argument("--at-once", type=int, default=1, help="trainings side by side")
    parser.add_argument("--state", type=Path, default=benchmarks_folder())
    parser.add_argument("--out", type=Path, default=Path(f"benchmarks/results/{name}.json"))


def chosen_rows(parser: ArgumentParser, named: str, rows: Sequence[AnyRow]) -> list[AnyRow]:
    """The rows that ``named``, names separated by commas, means; it ends the program if one is none."""
    by_name = {row.name: row for row in rows}
    names = [name.strip() for name in named.split(",")]
    if unknown := [name for name in names if name not in by_name]:
        parser.error(f"--rows: {unknown[0]!r} not among {', '.join(by_name)}")
    return [by_name[name] for name in names]


def gains(ours: Path, theirs: Path) -> dict[str, list[float | None]]:
    """By how much the model's figures of each face in one file are higher than in another: by key the mean and its
    95 % interval over people, whom ``identities`` names in the first."""
    found = {}
    with np.load(ours) as one, np.load(theirs) as other:
        for key in one.files:
            if key != "identities" and f"/{MODEL}/" in key:
                interval = paired_interval(one[key] - other[key], one["identities"], RESAMPLES, CONFIDENCE, SEED)
                found[key] = [interval.mean, interval.low, interval.high]
    return found


def train_rows(
    out: Path,
    conditions: dict[str, Any],
    rows: Sequence[AnyRow],
    tasks: Sequence[tuple[AnyRow, int]],
    work: Callable[[AnyRow, int], Run],
    at_once: int,
    threads: int,
) -> Iterator[tuple[dict[str, Any], AnyRow, Run]]:
    """Do ``work`` for each row and seed of ``tasks`` that is not in the table ``out``, so many at once.

    The table as it is then, the row and its run are given as soon as a run is in ``out``. Of ``rows`` the table has
    the order. A training that diverges is told and left out. ``work`` runs in processes of so many ``threads``.
    """
    result = continued(out, conditions)
    known = {(row["name"], run["seed"]) for row in result["rows"] for run in row["runs"]}
    with ProcessPoolExecutor(at_once, get_context("spawn"), _set_threads, (threads,)) as pool:
        left = [(row, seed) for row, seed in tasks if (row.name, seed) not in known]
        started = {pool.submit(work, row, seed): (row, seed) for row, seed in left}
        try:
            for done in as_completed(started):
                row, seed = started[done]
                try:
                    run = done.result()
                except DivergedError as error:  # the other rows go on
                    print(json.dumps({row.name: seed, "diverged": error.message}), flush=True)
                    continue
                add(result, rows, row, run)
                write_result(out, result)
                yield result, row, run
        finally:
            pool.shutdown(cancel_futures=True)


def _set_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def continued(file: Path, conditions: dict[str, Any]) -> dict[str, Any]:
    """The table in ``file``; without rows if there is none.

    A table made under other conditions is renamed to ``.before`` and a new one started.
    """
    try:
        before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"conditions": conditions, "rows": []}
    if before["conditions"] != conditions:
        differ = ", ".join(key for key in conditions if before["conditions"].get(key) != conditions[key])
        aside = file.with_suffix(f".before{file.suffix}")
        file.replace(aside)
        print(f"{file} was made under other conditions ({differ}): renamed to {aside}", flush=True)
        return {"conditions": conditions, "rows": []}
    return before


def add(result: dict[str, Any], rows: Sequence[AnyRow], row: AnyRow, run: Run) -> None:
    """Add a run to its row of ``result``: rows in the order of ``rows``, runs in the order of their seeds."""
    known = {each["name"]: each for each in result["rows"]}
    own = known.setdefault(row.name, {**asdict(row), "runs": []})
    own["runs"] = sorted([*own["runs"], run], key=lambda one: one["seed"])
    result["rows"] = [known[each.name] for each in rows if each.name in known]
