"""The units and lines of a schedule say what was asked for; what was installed, and no more, is removed."""

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from cli.main import cli
from facerecon.data.collected.inbox import InboxSettings
from facerecon.errors import FaceReconError
from facerecon.telling import TellingSettings
from ops.schedule import units
from ops.schedule.cron import Cron
from ops.schedule.record import Record, read_record
from ops.schedule.units import crontab_lines, installed, on_calendar, unit_name, unit_paths
from ops.schedule.watch import Schedule

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")

UTC = ZoneInfo("UTC")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose path holds what units and crontabs give a meaning to."""
    folder = tmp_path / '50% of $HOME\'s "clips" \\ new'
    folder.mkdir()
    (folder / "my config.yaml").write_text("parameters: {name: demo}\n")
    monkeypatch.setenv("FACERECON_STATE", str(folder / "state"))
    monkeypatch.delenv("FACERECON_OUTPUTS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(units, "PROJECT", folder)
    return folder


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Stand-ins for systemctl and loginctl; ``calls`` are what they were asked, ``refuse`` what they refuse."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, answer in (("systemctl", 'grep -qx "$2" refuse && echo it broke >&2 && exit 1'), ("loginctl", "echo no")):
        (programs / name).write_text(f'#!/bin/sh\ncd {programs}\necho "$@" >> calls\n{answer}\nexit 0\n')
        (programs / name).chmod(0o755)
    (programs / "refuse").touch()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def schedule_at(project: Path, cron: str = "0 3 * * *") -> Schedule:
    return Schedule(project / "my config.yaml", InboxSettings(), TellingSettings(), Cron.parse(cron))


def facerecon(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(cli, ["schedule", *arguments])
    assert done.exit_code == status, done.output
    return done.output


@needs_systemd
@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * *",
        "*/15 22-4 * * mon-fri",
        "5/10 * * * *",
        "0 0 1,15 * 1",
        "0 0 */2 2 sun",
        "0 3 l,15 * *",
        "0 0 * * sun#2",
        "0 0 * * L5",
        "30 2 29 2 *",
        "@weekly",
    ],
)
def test_systemd_understands_the_same_by_an_expression_as_croniter(text):
    now = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC).timestamp()
    cron, expected, found = Cron.parse(text, UTC), [], set()
    for _ in range(12):
        expected.append(cron.next(expected[-1] if expected else now))
    for line in on_calendar(cron):
        shown = subprocess.run(
            ["systemd-analyze", "calendar", "--iterations=12", "--base-time=2026-01-01 00:00:30", line],
            env={"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for each in shown.splitlines():
            if each.strip().startswith(("Next elapse", "Iter")):
                time = datetime.strptime(each.split(": ", 1)[1], "%a %Y-%m-%d %H:%M:%S UTC")
                found.add(time.replace(tzinfo=UTC).timestamp())
    assert sorted(found)[:12] == expected


@pytest.mark.parametrize("text", ["0 0 15w * *", "0 0 1 * fri#1"])
def test_what_neither_system_can_say_is_one_line(project, text):
    with pytest.raises(FaceReconError, match=r"^--cron .* systemd cannot say"):
        on_calendar(Cron.parse(text))
    with pytest.raises(FaceReconError, match=r"^--cron .* cron knows no"):
        crontab_lines(schedule_at(project, text))


@needs_systemd
def test_systemd_verifies_the_units(project, tmp_path):
    service, timer = units.units(schedule_at(project, "0 3 * * mon"))
    assert "Requires=" not in timer
    folder = tmp_path / "units"
    folder.mkdir()
    (folder / "one.service").write_text(service)
    (folder / "one.timer").write_text(timer)
    done = subprocess.run(
        ["systemd-analyze", "verify", folder / "one.service", folder / "one.timer"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(folder) not in done.stderr


def test_the_units_say_what_is_run(project):
    service, timer = units.units(schedule_at(project))
    escaped = str(project).replace("%", "%%")
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"')
    assert f"WorkingDirectory={escaped}\n" in service
    assert f'Environment="FACERECON_STATE={quoted}/state"' in service
    program = Path(sys.executable).parent / "facerecon"
    assert (
        f'ExecStart=:"{program}" "watch" "--once" "--if-missed" "--cron" "0 3 * * *" "-c" "{quoted}/my config.yaml"'
    ) in service
    assert "Type=oneshot" in service
    assert "OnCalendar=*-*-* 03:00:00\n" in timer
    assert "Persistent=true" in timer


def test_a_path_that_a_unit_cannot_hold_is_one_line(project, monkeypatch):
    monkeypatch.setattr(units, "PROJECT", project / "two\nlines")
    with pytest.raises(FaceReconError, match=r"two\\nlines' cannot stand in a unit"):
        units.units(schedule_at(project))


def test_the_lines_for_crontab_run_what_is_asked_for(project, tmp_path, monkeypatch):
    programs = tmp_path / "bin %"
    programs.mkdir()
    (programs / "facerecon").write_text('#!/bin/sh\npwd\necho "$FACERECON_STATE"\nprintf "%s|" "$@"\n')
    (programs / "facerecon").chmod(0o755)
    monkeypatch.setattr(units.sys, "executable", str(programs / "python"))
    (project / "state").mkdir()
    timed, hourly = crontab_lines(schedule_at(project, "*/30 3 * * mon-wed"))
    assert timed.startswith("0,30 3 * * 1,2,3 cd ")
    assert hourly == timed.replace("0,30 3 * * 1,2,3", "@hourly")
    command = hourly.removeprefix("@hourly ")
    assert "%" not in command.replace("\\%", "")
    subprocess.run(["sh", "-c", command.replace("\\%", "%")], check=True, cwd="/")
    here, state, arguments = (project / "state" / "schedule.log").read_text().splitlines()
    assert (here, state) == (str(project), str(project / "state"))
    assert arguments == f"watch|--once|--if-missed|--cron|*/30 3 * * mon-wed|-c|{project / 'my config.yaml'}|"


def test_what_was_installed_and_no_more_is_removed(project, system):
    other = unit_paths()[0].with_name("facerecon-retraining-other.timer")
    other.parent.mkdir(parents=True)
    other.touch()
    config = str(project / "my config.yaml")
    said = facerecon("install", "-c", config, "--cron", "0 4 * * *")
    assert f"{unit_name()}.timer is started: next run on" in said
    assert "04:00" in said
    assert "loginctl enable-linger" in said
    assert all(path.is_file() for path in unit_paths())
    calls = (system / "calls").read_text()
    assert "--user daemon-reload\n" in calls
    assert f"--user enable {unit_name()}.timer\n" in calls
    assert installed().cron.text == "0 4 * * *"
    assert read_record(Path(config)).cron == "0 4 * * *"  # what was before it is not made up for
    facerecon("install", "-c", config)
    assert installed().cron.text == "0 3 * * *"

    removed = facerecon("uninstall")
    assert removed.splitlines() == [f"removed {path}" for path in unit_paths()]
    assert list(other.parent.iterdir()) == [other]
    assert f"--user disable --now {unit_name()}.timer\n" in (system / "calls").read_text()
    assert read_record(Path(config)) is None
    assert "systemd keeps no schedule" in facerecon("uninstall")


def test_units_that_systemd_refuses_are_not_left(project, system):
    (system / "refuse").write_text("enable\n")
    config = str(project / "my config.yaml")
    said = facerecon("install", "-c", config, status=1)
    assert f"`systemctl --user enable {unit_name()}.timer` fails (it broke), nothing is installed" in said
    assert not any(path.exists() for path in unit_paths())
    assert read_record(Path(config)) is None


def test_without_systemd_the_lines_for_crontab_are_printed(project, system):
    (system / "refuse").write_text("show-environment\n")
    config = str(project / "my config.yaml")
    lines = facerecon("install", "-c", config).splitlines()
    assert "crontab -e" in lines[0]
    assert lines[1:] == crontab_lines(schedule_at(project))
    assert not any(path.exists() for path in unit_paths())
    assert read_record(Path(config)).cron == "0 3 * * *"


def test_show_says_next_and_last_run(project, system):
    assert "no schedule" in facerecon("show")
    config = project / "my config.yaml"
    facerecon("install", "-c", str(config))
    said = facerecon("show")
    assert f"{unit_name()}.timer waits" in said
    assert f"{config}, 0 3 * * *: next run on" in said
    assert "no run so far" in said
    start = datetime(2026, 6, 1, 3, 0).timestamp()
    record = Record(file=str(config), cron="0 3 * * *", since=0, slot=start, started=start, ended=start + 720, status=1)
    record.write()
    assert "last run on Mon 2026-06-01 03:00, failed with exit status 1 on Mon 2026-06-01 03:12" in facerecon("show")
    record.model_copy(update={"status": 0}).write()
    (system / "refuse").write_text("is-active\n")
    said = facerecon("show")
    assert "ended well" in said
    assert "does not run" in said


def test_a_wrong_expression_is_one_line(project, system):
    said = facerecon("install", "-c", str(project / "my config.yaml"), "--cron", "0 25 * * *", status=1)
    assert said.startswith("Error: --cron '0 25 * * *': ")
    assert len(said.splitlines()) == 1
