"""Retraining is started when it is due, once; it ends with who started it, and its failure is told."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from facerecon.errors import FaceReconError
from facerecon.telling import TellingSettings
from ops.schedule import watch as module
from ops.schedule.cron import Cron
from ops.schedule.record import Record, read_record
from ops.schedule.watch import once, read_schedule, watch

BERLIN = ZoneInfo("Europe/Berlin")


class Done(Exception):  # noqa: N818  # no error
    """The time that a test looks at is over."""


class Clock:
    """A clock that only sleep and work move on; ``times`` are those at which something was run, in UTC."""

    def __init__(self, start: str) -> None:
        self.now = datetime.fromisoformat(start).timestamp()
        self.until = self.now
        self.times: list[str] = []
        self.status, self.hours = 0, 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 0.001)
        if self.now >= self.until:
            raise Done

    def run(self, _schedule: object) -> int:
        self.times.append(datetime.fromtimestamp(self.now, ZoneInfo("UTC")).strftime("%d %H:%M"))
        self.now += self.hours * 3600
        self.hours = 0
        return self.status

    def watch(self, schedule: module.Schedule, days: float) -> list[str]:
        """Watch for so many days; what has been run meanwhile."""
        self.until, self.times = self.now + days * 86_400, []
        with pytest.raises(Done):
            watch(schedule)
        return self.times


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with an inbox of its own."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "retraining.yaml").write_text("parameters: {retraining: {inbox: {settle: 0}}}\n")
    return tmp_path


@pytest.fixture
def clock(monkeypatch):
    """A clock in Berlin at noon of 1 June."""
    made = Clock("2026-06-01T12:00+02:00")
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(module, "POLL", 600)
    monkeypatch.setattr(module, "_run", made.run)
    return made


@pytest.fixture
def told(monkeypatch):
    """What was told, as (lines, outcome)."""
    lines = []
    monkeypatch.setattr(module, "tell", lambda text, outcome, settings: lines.append((text, outcome)))
    return lines


def schedule_at(project: Path, cron: str | None = None) -> module.Schedule:
    made = read_schedule(project / "retraining.yaml", None)
    return module.Schedule(made.file, made.inbox, made.telling, cron and Cron.parse(cron, BERLIN))


def test_by_the_clock_each_slot_is_run_once(project, clock):
    assert clock.watch(schedule_at(project, "0 3 * * *"), 3) == ["02 01:00", "03 01:00", "04 01:00"]


def test_slots_that_were_missed_are_made_up_for_once(project, clock):
    schedule = schedule_at(project, "0 3 * * *")
    clock.watch(schedule, 1)
    clock.now += 5 * 86_400
    assert clock.watch(schedule, 0.01) == ["07 10:00"]
    assert clock.watch(schedule, 1) == ["08 01:00"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-10-24T12:00+02:00", ["25 00:30", "26 01:30"]),
        ("2026-03-28T12:00+01:00", ["29 01:00", "30 00:30"]),
    ],
)
def test_when_the_clock_is_set_a_slot_is_run_once(project, clock, start, expected):
    clock.now = datetime.fromisoformat(start).timestamp()
    assert clock.watch(schedule_at(project, "30 2 * * *"), 2) == expected


def test_a_new_schedule_makes_up_for_nothing(project, clock):
    assert clock.watch(schedule_at(project, "0 3 * * *"), 0.5) == []
    assert clock.watch(schedule_at(project, "0 23 * * *"), 0.1) == []


def test_a_failed_run_is_not_repeated_before_the_next_slot(project, clock):
    schedule = schedule_at(project, "0 3 * * *")
    clock.status = 1
    assert clock.watch(schedule, 2) == ["02 01:00", "03 01:00"]
    record = read_record(schedule.file)
    assert (record.status, record.finished) == (1, None)
    clock.status = 0
    clock.watch(schedule, 1)
    assert read_record(schedule.file).finished == datetime.fromisoformat("2026-06-04T01:00+00:00").timestamp()


def test_a_run_longer_than_its_period_is_told_and_what_passed_is_made_up_for_once(project, clock, caplog):
    clock.hours = 2.5
    assert clock.watch(schedule_at(project, "0 * * * *"), 0.2) == ["01 11:00", "01 13:30", "01 14:00"]
    assert "the run took 2.5 h, longer than its period: 2 slots of 0 * * * *" in caplog.text


def test_a_clock_that_was_ahead_does_not_hold_a_schedule_up(project, clock):
    schedule = schedule_at(project, "0 3 * * *")
    Record(file=str(schedule.file), cron="0 3 * * *", since=0, slot=clock.now + 1e9).write()
    assert clock.watch(schedule, 1) == ["02 01:00"]


def test_once_runs_now_and_if_missed_only_what_was_missed(project, clock, capsys):
    schedule = schedule_at(project, "0 3 * * *")
    assert once(schedule, if_missed=True) == 0  # nobody has run it ever
    assert len(clock.times) == 1
    assert once(schedule, if_missed=True) == 0
    assert len(clock.times) == 1
    assert capsys.readouterr().out == "nothing is due: 0 3 * * * is due next on Tue 2026-06-02 03:00\n"
    clock.now += 2 * 86_400
    clock.status = 3
    assert once(schedule, if_missed=True) == 3
    assert once(schedule, if_missed=True) == 0
    assert once(schedule, if_missed=False) == 3
    assert once(schedule_at(project), if_missed=False) == 3
    assert len(clock.times) == 4


def test_a_run_that_was_killed_is_missed(project, clock, monkeypatch):
    schedule = schedule_at(project, "0 3 * * *")

    def killed(_schedule: object) -> int:
        raise Done

    with monkeypatch.context() as patched:
        patched.setattr(module, "_run", killed)
        for _ in range(2):
            with pytest.raises(Done):
                once(schedule, if_missed=True)
    once(schedule, if_missed=True)
    assert len(clock.times) == 1


def test_without_slots_new_clips_are_run_once_they_have_settled(project, clock, monkeypatch):
    monkeypatch.setattr(module, "_wait_for_change", lambda _root, seconds: clock.sleep(seconds))
    clock.now = time.time()
    schedule = schedule_at(project)
    assert clock.watch(schedule, 0.1) == []
    clock.now = time.time() + 1
    (project / "inbox" / "a.mkv").write_bytes(b"clip")
    # what a run leaves there is tried again after an hour: nothing takes the clip in here
    assert len(clock.watch(schedule, 0.1)) == 3
    (project / "inbox" / "a.mkv").unlink()
    assert clock.watch(schedule, 0.1) == []


def test_an_inbox_that_goes_away_is_waited_for(project, clock, monkeypatch, caplog):
    def wait(_root: Path, seconds: float) -> None:
        (project / "inbox").rename(project / "away")
        clock.sleep(seconds)

    monkeypatch.setattr(module, "_wait_for_change", wait)
    assert clock.watch(schedule_at(project), 0.1) == []
    assert caplog.text.count("does not exist") == 1
    with pytest.raises(FaceReconError, match="does not exist"):
        watch(schedule_at(project))


def test_changes_in_the_inbox_end_the_waiting(project, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    writer = subprocess.Popen(["sh", "-c", f"sleep 0.3; touch {project}/inbox/a.mkv"])
    begun = time.monotonic()
    module._wait_for_change(project / "inbox", 20)
    assert time.monotonic() - begun < 15
    writer.wait()
    module._wait_for_change(project / "nowhere", 0.01)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("parameters: {retraining: {inbox: {pfad: x}}}", "parameters.retraining.inbox.pfad: no such key"),
        ("parameters: {retraining: {telling: {webhook: 'https://x/secret'}}}", "parameters.retraining.telling.webhook"),
    ],
)
def test_settings_that_cannot_be_are_one_line(project, content, said):
    (project / "retraining.yaml").write_text(content)
    with pytest.raises(FaceReconError, match=said):
        read_schedule(project / "retraining.yaml", None)


def test_settings_are_those_of_the_file(project):
    (project / "retraining.yaml").write_text("parameters: {retraining: {inbox: {path: x}, telling: {webhook: HOOK}}}")
    schedule = read_schedule(project / "retraining.yaml", "0  3 * * *")
    assert schedule.inbox.path == "x"
    assert schedule.telling == TellingSettings(webhook="HOOK")
    assert schedule.cron.text == "0 3 * * *"
    (project / "retraining.yaml").write_text("parameters: {name: demo}")
    assert read_schedule(project / "retraining.yaml", None).inbox.path == "inbox"


@pytest.mark.parametrize(("script", "status", "said"), [("exit 3", 3, "exit status 3"), ("kill -9 $$", 137, "SIGKILL")])
def test_a_failed_run_is_told(project, monkeypatch, told, script, status, said):
    monkeypatch.setattr(module, "run_command", lambda file: ["sh", "-c", script])
    assert once(schedule_at(project), if_missed=False) == status
    ((lines, outcome),) = told
    assert said in lines[0]
    assert outcome == "failed"


def test_a_run_is_what_one_would_type(project):
    command = module.run_command(project / "my file.yaml")
    assert command[1:] == ["pipeline", "run", "retraining", "-c", str(project / "my file.yaml")]
    assert Path(command[0]).parent == Path(sys.executable).parent


WATCH = """
import sys
from pathlib import Path
import click
from ops.schedule import watch as module
module.PROJECT = Path(sys.argv[1])
module.run_command = lambda file: ["sh", "-c", sys.argv[2]]
@click.command()
def run():
    schedule = module.read_schedule(module.PROJECT / "retraining.yaml", None)
    if sys.argv[3] == "once":
        sys.exit(module.once(schedule, False))
    module.watch(schedule)
run([])
"""

TELLS = "trap 'echo Error: stopped by SIGTERM >&2; kill $!; exit 143' TERM; echo running; sleep 60 & wait"
SILENT = "echo running; sleep 60"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("script", "how", "said"),
    [
        (TELLS, "once", "Error: stopped by SIGTERM"),
        (SILENT, "once", "Error: stopped by {}"),
        (TELLS, "watch", "Error: stopped by SIGTERM"),
        ("", "watch", "Error: stopped by {}"),
    ],
)
def test_a_signal_ends_watch_and_its_run_in_one_line(project, number, script, how, said):
    if script:
        (project / "inbox" / "a.mkv").write_bytes(b"clip")
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(project), script, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("running" if script else "waiting"):
            break
    time.sleep(0.3)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors.splitlines() == [said.format(number.name)]
    assert time.monotonic() - begun < 30
