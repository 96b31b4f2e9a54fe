"""What this clone needs to run, looked at one by one, and what to do where something is missing."""

import os
import platform
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, cast

import psutil
import torch
from packaging.requirements import Requirement

from facerecon import weights
from facerecon.errors import FaceReconError
from facerecon.run import RunSettings
from facerecon.workspace import PROJECT, state_folder
from ops.code import LOCK
from ops.lineage import dvc_digest, git
from ops.pipeline import DEFAULT_FILE
from ops.schedule.cron import Cron
from ops.schedule.record import records
from ops.settings_file import read_run_file
from ops.stack.tracker import EXPERIMENT, active_tracker, is_local, local_uri, use_tracker

Outcome = Literal["ok", "note", "bad"]

LEAST_FREE = 5e9
"""Bytes of free disk below which a note is made."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``fix`` says what to do; "" where nothing is to be done."""

    name: str
    outcome: Outcome
    seen: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other; a look that fails is a finding itself."""
    looks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "packages": _packages,
        "git": _git,
        "stack": _stack,
        "tracker": _tracker,
        "weights": _weights,
        "data": _data,
        "schedule": _schedule,
        "disk": _disk,
        "machine": _machine,
    }
    for name, look in looks.items():
        try:
            yield look()
        except FaceReconError as error:
            reason, _, fix = error.message.rpartition(": ")
            yield Finding(name, "bad", reason, fix)
        except Exception as error:  # a doctor does not faint
            yield Finding(name, "bad", f"cannot be looked at: {type(error).__name__}: {error}", "see the message")


def _python() -> Finding:
    seen = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] != (3, 11):
        return Finding("Python", "bad", seen, "use Python 3.11: make PYTHON=/path/to/python3.11 install")
    return Finding("Python", "ok", seen)


def _packages() -> Finding:
    wrong = []
    pinned = [Requirement(line.rstrip("\\ \n")) for line in LOCK.read_text().splitlines() if "==" in line]
    wanted = [package for package in pinned if package.marker is None or package.marker.evaluate()]
    for package in wanted:
        try:
            found = version(package.name)
        except PackageNotFoundError:
            found = "missing"
        if found not in package.specifier:
            wrong.append(f"{package.name} {found} (locked: {str(package.specifier)[2:]})")
    if wrong:
        return Finding("packages", "bad", f"{len(wrong)} are not as locked: {', '.join(wrong[:3])}", "make install")
    return Finding("packages", "ok", f"all {len(wanted)} as {LOCK.name} says")


def _git() -> Finding:
    commit = git("rev-parse", "--short", "HEAD").strip()
    if not commit:
        return Finding("git", "note", "no commit here: runs cannot name their code", "clone with git")
    changed = len(git("status", "--porcelain").splitlines())
    return Finding(
        "git", "ok", f"commit {commit}, {f'{changed} files changed since' if changed else 'nothing changed'}"
    )


def _stack() -> Finding:
    from zenml.client import Client

    active_tracker()
    return Finding("stack", "ok", Client().active_stack_model.name)


def _tracker() -> Finding:
    if not is_local():
        uri = use_tracker()
        return Finding("tracker", "ok", f"{uri} answers, and holds the registry of this stack")
    file = state_folder() / "mlflow.db"
    if not file.is_file():
        return Finding("tracker", "bad", f"{local_uri()} does not exist", "make stack")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as database:
        sound = database.execute("PRAGMA quick_check").fetchone()[0]
        runs = database.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone()[0]
        known = database.execute("SELECT count(*) FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone()[0]
    if sound != "ok":
        return Finding(
            "tracker", "bad", f"{file} is damaged: {sound}", "restore it from a backup, or remove it and `make stack`"
        )
    if not known:
        return Finding("tracker", "bad", f"{file} has no experiment '{EXPERIMENT}'", "make stack")
    if not os.access(file, os.W_OK):
        return Finding("tracker", "bad", f"{file} is not writable", "mend its permissions")
    return Finding("tracker", "ok", f"{runs} runs in {file}")


def _weights() -> Finding:
    rows = weights.table()
    absent = [str(row["name"]) for row in rows if not (row["present"] or row["optional"])]
    if absent:
        return Finding("weights", "bad", f"missing: {', '.join(absent)}", "make weights")
    return Finding("weights", "ok", f"{len(weights.fetch_all())} files, digests right")


def _data() -> Finding:
    settings = cast(RunSettings, read_run_file(DEFAULT_FILE, ()).settings)
    folders = [PROJECT / source.path for source in settings.data]
    if absent := [str(folder) for folder in folders if not folder.is_dir()]:
        return Finding(
            "data", "bad", f"{', '.join(absent)} does not exist", "make sample, or run with -c and your own data.path"
        )
    digest = dvc_digest()
    if "changed since" in digest:
        return Finding(
            "data", "note", "data/ is not what data.dvc names", "`dvc add data` if that is meant, `dvc checkout` if not"
        )
    return Finding("data", "ok", f"{', '.join(map(str, folders))}, DVC {digest[:12]}")


def _schedule() -> Finding:
    """Bad where two slots have passed since a run of a schedule last went well."""
    known, late = list(records()), []
    for record in known:
        cron = Cron.parse(record.cron)
        last_but_one = cron.due(cron.due(time.time()) - 1)
        since = record.since if record.finished is None else record.finished
        if since < last_but_one:
            status = "" if record.status is None else f", exit status of the last run {record.status}"
            late.append(f"{record.file}, {record.cron}: no run has ended well since {cron.shown(since)}{status}")
    if late:
        fix = (
            "`facerecon schedule show`, and the log: `journalctl --user -u facerecon-retraining-*`; "
            "start `facerecon watch` again if it is that"
        )
        return Finding("schedule", "bad", "; ".join(late), fix)
    return Finding("schedule", "ok", f"{len(known)} kept" if known else "none is kept")


def _disk() -> Finding:
    place = next(path for path in (state_folder(), *state_folder().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("disk", "bad", f"{place} is not writable", "mend its permissions or set FACERECON_STATE")
    seen = f"{free / 1e9:.1f} GB free for {state_folder()}"
    return Finding("disk", "ok", seen) if free > LEAST_FREE else Finding("disk", "note", seen, "free some space")


def _machine() -> Finding:
    memory = psutil.virtual_memory().total / 1e9
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return Finding("machine", "ok", f"{os.cpu_count()} cores, {memory:.0f} GB, {gpu}")
