"""A last look through state, outputs and data for what still names the person."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from facerecon.data.forget import shown_path
from facerecon.data.sources import files
from facerecon.workspace import PROJECT, benchmarks_folder, outputs_folder, refused_docs_folder, state_folder
from ops.forget.needles import Needles
from ops.forget.record import Survey, record_path
from ops.forget.servers import SERVICES

TEXTS = frozenset({".csv", ".html", ".json", ".jsonl", ".md", ".tsv", ".txt", ".xml", ".yaml", ".yml"})
"""Files among the data that can name somebody."""


def sweep(found: Survey) -> list[str]:
    """Look through all that this clone has for what still names the person.

    Logs of runs and pages about refused data go, the rest is told. Servers that were started here may have their files
    open: of these only the logs are emptied.
    """
    needles, left = Needles(found), []
    services = state_folder() / SERVICES
    folders, kept = (state_folder(), benchmarks_folder()), ("crops", "frames", "checkpoints", "cases")
    passed_over = {folder / name for folder in folders for name in kept}
    passed_over.add(services / "mariadb" / "mysql")  # MariaDB's own
    for path in _swept(passed_over):
        if path == record_path() or not needles.within(path):
            continue
        if services / "logs" in path.parents:
            os.truncate(path, 0)
        elif services in path.parents:
            left.append(
                f"{shown_path(path, PROJECT)}: holds the person still, in rows or objects, or in what is left of them: "
                "`facerecon stack services`, then the same command"
            )
        elif path.suffix == ".log" or "logs" in path.parts or refused_docs_folder() in path.parents:
            path.unlink(missing_ok=True)
        elif path.suffix == ".db" and _vacuumed(path) and not needles.within(path):
            continue
        else:
            left.append(_told(path))
    return left + [_told(path) for path in _texts(found) if needles.within(path)]


def _told(path: Path) -> str:
    return f"{shown_path(path, PROJECT)}: names the person still: remove it, or the lines in it"


def _texts(found: Survey) -> list[Path]:
    """Notes and lists among the data."""
    roots = {root for _, root in found.data_roots if root.is_dir()}
    return sorted({path for root in roots for path in files(root) if path.suffix.lower() in TEXTS})


def _swept(passed_over: set[Path]) -> Iterator[Path]:
    from zenml.config.global_config import GlobalConfiguration

    store = GlobalConfiguration().store_configuration.url
    if store.startswith("sqlite:///"):
        yield Path(store.removeprefix("sqlite:///"))
    for top in (state_folder(), outputs_folder()):
        for path in sorted(top.rglob("*")):
            if path.is_file() and not passed_over.intersection(path.parents):
                yield path


def _vacuumed(path: Path) -> bool:
    """Rewrite a database without what was deleted from it; whether that could be done."""
    try:
        database = sqlite3.connect(path, timeout=10)
        try:
            database.execute("VACUUM")
        finally:
            database.close()
    except sqlite3.Error:
        return False
    return True
