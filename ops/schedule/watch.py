"""Start retraining when it is due: at the slots of a cron expression, or when new clips have settled in the inbox.

Each run is a process of its own, as if somebody had typed it: `zenml pipeline run retraining -c FILE`.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click
from pydantic import BaseModel, ValidationError

from facerecon.data.collected.inbox import InboxSettings, inbox_root, known_clips, look
from facerecon.data.known import State
from facerecon.errors import FaceReconError
from facerecon.settings import first_problem
from facerecon.telling import TellingSettings
from facerecon.workspace import PROJECT
from facerecon.yaml_files import read_yaml
from ops.faults import SIGNALS, Stop, StoppedError
from ops.schedule.cron import Cron
from ops.schedule.record import Record, read_record
from ops.telling import FAILED, tell

Kind = TypeVar("Kind", bound=BaseModel)

LOG = logging.getLogger(__name__)

DEFAULT_FILE = PROJECT / "configs" / "retraining.yaml"
"""The config of a schedule that is given none."""

POLL = 30
"""Seconds between looks: shared drives tell of no change, and a machine that slept has lost its alarm clock."""

AGAIN = 3600
"""Seconds after which a clip that a run has left in the inbox, because it failed, is tried again."""

PATIENCE = 60
"""Seconds that a run has to end once it was told to."""


@dataclass(frozen=True)
class Schedule:
    """What is run, and how it is told when it fails; ``cron`` None runs it when clips have settled in the inbox.

    ``environment`` are the run's variables, None: those of this process.
    """

    file: Path
    inbox: InboxSettings
    telling: TellingSettings
    cron: Cron | None = None
    environment: Mapping[str, str] | None = None

    def record(self, now: float) -> Record:
        """What it has done so far; of one that is new, or was set to other times, nothing is due before ``now``."""
        assert self.cron is not None
        record = read_record(self.file)
        if record is None or record.cron != self.cron.text:
            return Record(file=str(self.file), cron=self.cron.text, since=now, slot=now)
        # a clock that was ahead must not hold the schedule up until then
        return record.model_copy(update={"slot": min(record.slot, now)})

    def begin(self) -> None:
        """Keep from when on slots are due, if that is not kept yet."""
        self.record(time.time()).write()


def read_schedule(file: Path | None, cron: str | None) -> Schedule:
    """The schedule of a config, checked.

    Raises:
        FaceReconError: the file is no config, or says about inbox or telling what cannot be; or ``cron`` is no
            expression.
    """
    path = (file or DEFAULT_FILE).resolve()
    parsed = Cron.parse(cron) if cron is not None else None
    content = read_yaml(path)
    for key in ("parameters", "retraining"):
        content = content.get(key) if isinstance(content, dict) else None
    part = content if isinstance(content, dict) else {}
    inbox = _settings(InboxSettings, part.get("inbox"), path, "inbox")
    return Schedule(path, inbox, _settings(TellingSettings, part.get("telling"), path, "telling"), parsed)


def _settings(kind: type[Kind], values: object, path: Path, name: str) -> Kind:
    try:
        return kind.model_validate({} if values is None else values)
    except ValidationError as error:
        raise FaceReconError(f"{path}: {first_problem(error, f'parameters.retraining.{name}', kind)}") from error


def once(schedule: Schedule, if_missed: bool) -> int:
    """Run now, with ``if_missed`` only if a slot has passed since the last run; returns the exit status."""
    with _signals():
        cron = schedule.cron
        if cron is None:
            return _run(schedule)
        if read_record(schedule.file):
            schedule.begin()
        elif if_missed:  # nobody has kept from when on: the slot that has just come is due
            return _run_slot(schedule, cron.due(time.time()))
        now = time.time()
        if if_missed and cron.due(now) <= schedule.record(now).slot:
            click.echo(f"nothing is due: {cron.text} is due next on {cron.shown(cron.next(now))}")
            return 0
        return _run_slot(schedule, now)


def watch(schedule: Schedule) -> None:
    """Run whenever it is due, until a signal comes.

    A run that fails is told and ends nothing.

    Raises:
        FaceReconError: the inbox is none, at the start; later it is waited for.
        StoppedError: a signal came, which ends the run under way, too.
    """
    with _signals():
        if schedule.cron is None:
            _watch_inbox(schedule)
        else:
            _watch_clock(schedule, schedule.cron)


def _watch_clock(schedule: Schedule, cron: Cron) -> None:
    schedule.begin()
    said = 0.0
    while True:
        now = time.time()
        due, record = cron.due(now), schedule.record(now)
        if due > record.slot:
            _run_slot(schedule, due)
            continue
        if (following := cron.next(now)) != said:
            click.echo(f"next run on {cron.shown(following)}")
            said = following
        time.sleep(min(POLL, following - now))


def _run_slot(schedule: Schedule, slot: float) -> int:
    """Run for a slot, and for those that were missed before it; it is done once the run has ended by itself."""
    assert schedule.cron is not None
    started = time.time()
    record = schedule.record(started)
    status = _run(schedule)
    ended = time.time()
    record.model_copy(
        update={
            "slot": slot,
            "started": started,
            "ended": ended,
            "status": status,
            "finished": record.finished if status else ended,
        }
    ).write()
    if passed := schedule.cron.count(max(slot, started), ended):
        LOG.warning(
            "the run took %.1f h, longer than its period: %d slots of %s have passed meanwhile, and are made up for by "
            "one run",
            (ended - started) / 3600,
            passed,
            schedule.cron.text,
        )
    return status


def _watch_inbox(schedule: Schedule) -> None:
    root = inbox_root(schedule.inbox, PROJECT)
    click.echo(f"waiting for clips in {root}")
    tried: dict[State, float] = {}
    absent = False
    while True:
        try:
            root = inbox_root(schedule.inbox, PROJECT)
            new = [clip.state for clip in look(root, schedule.inbox, known_clips(root)).new]
        except FaceReconError as error:
            if not absent:
                LOG.warning("%s; it is looked for until it is back", error.message)
            absent = True
            time.sleep(POLL)
            continue
        absent = False
        now = time.time()
        tried = {state: when for state, when in tried.items() if state in new and 0 <= now - when < AGAIN}
        if any(state not in tried for state in new):
            _run(schedule)
            tried |= dict.fromkeys(new, time.time())
        else:
            _wait_for_change(root, POLL)


def _wait_for_change(root: Path, seconds: float) -> None:
    """Wait until something changes below ``root``, at most so long."""
    # imported when it is used: who runs by the clock needs it not
    from watchfiles import watch as changes

    try:
        next(changes(root, rust_timeout=round(seconds * 1000), yield_on_timeout=True, ignore_permission_denied=True))
    except (OSError, RuntimeError) as error:  # no more watches, or the folder has gone: looks will do
        LOG.debug("changes of %s are not told: %s", root, error)
        time.sleep(seconds)
    time.sleep(1)  # a clip that is being copied tells of each of its blocks


def run_command(file: Path) -> list[str]:
    """What is run, by the interpreter that runs this."""
    return [str(Path(sys.executable).parent / "zenml"), "pipeline", "run", "retraining", "-c", str(file)]


class _TheRunHasSaid(KeyboardInterrupt):  # an interrupt, as the one it comes from
    """A signal came, and the run under way has said so."""


def _run(schedule: Schedule) -> int:
    """Run the pipeline, its output passed on; tell if it fails; return its exit status."""
    # a session of its own: Ctrl-C reaches this process alone, which ends the run once
    command, environment = run_command(schedule.file), schedule.environment
    run = subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True)
    try:
        status = run.wait()
    except KeyboardInterrupt:
        _end(run)
        if run.returncode > 0:
            raise _TheRunHasSaid from None
        raise
    if status:
        what = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with exit status {status}"
        tell([f"retraining by {schedule.file.name} {what}: its output says why"], FAILED, schedule.telling)
    return 128 - status if status < 0 else status


def _end(run: subprocess.Popen[bytes]) -> None:
    """End a run with all that it has started; what has not ended after a while is killed."""
    run.terminate()
    with suppress(subprocess.TimeoutExpired):
        run.wait(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


@contextmanager
def _signals() -> Iterator[None]:
    """Let the first signal end what is done inside in one line; further ones do not hinder it.

    Raises:
        StoppedError: a signal came.
    """
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stop(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt as interrupt:  # watchfiles raises one of its own
        status = 128 + (came[0] if came else signal.SIGINT)
        if isinstance(interrupt, _TheRunHasSaid):
            sys.exit(status)
        raise StoppedError(f"stopped by {signal.Signals(status - 128).name}", status) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
