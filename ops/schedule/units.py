"""A schedule that the system keeps: systemd's user units of this clone, else two lines for crontab."""

import getpass
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from croniter import croniter

from facerecon.errors import FaceReconError
from facerecon.files import write_text
from facerecon.workspace import PROJECT, clone_id, state_folder
from ops.schedule.cron import NEAREST_WEEKDAY, Cron
from ops.schedule.record import forget_record
from ops.schedule.watch import Schedule

DEFAULT_CRON = "0 3 * * *"

MISSED = "*-*-* 04:05:00"
"""When systemd looks for what was missed, too: it leaves out a time that the clock jumps over, at night."""

PASSED_ON = ("FACERECON_STATE", "FACERECON_OUTPUTS", "FACERECON_WEIGHTS", "ZENML_CONFIG_PATH")
"""Variables that say where things lie: what they say now is said to the runs. No secret is."""

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True)
class Installed:
    """A schedule that systemd keeps for this clone."""

    file: Path
    cron: Cron


def unit_name() -> str:
    """The units' name without suffix; it carries the clone, so that two clones never share one."""
    return f"facerecon-retraining-{clone_id()}"


def unit_paths() -> tuple[Path, Path]:
    """Where the service and the timer lie."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    return base / f"{unit_name()}.service", base / f"{unit_name()}.timer"


def on_calendar(cron: Cron) -> list[str]:
    """An expression as systemd says it, in as many lines as it takes, any of which will do.

    Raises:
        FaceReconError: systemd cannot say it.
    """
    (minutes, hours, days, months, weekdays), nth = croniter.expand(cron.text)
    if NEAREST_WEEKDAY.search(cron.text.split()[2] if " " in cron.text else ""):
        raise _unsayable(cron, "the weekday that is nearest to a day")
    if nth and (days != ["*"] or set(nth) != set(weekdays)):
        raise _unsayable(cron, "a weekday of the month beside other days")
    time = f"{_list(hours)}:{_list(minutes)}:00"
    dates = []
    numbers = [day for day in days if day != "l"]
    if numbers != ["*"] or weekdays == ["*"]:
        dates += [f"*-{_list(months)}-{_list(numbers)}"] if numbers else []
        dates += [f"*-{_list(months)}~01"] if "l" in days else []
    if nth:
        for weekday, which in sorted(nth.items()):
            for each in sorted(which, key=str):
                part = "~07/1" if each == "l" else f"-{7 * int(each) - 6:02d}..{min(7 * int(each), 31):02d}"
                dates.append(f"{_DAYS[int(weekday)]} *-{_list(months)}{part}")
    elif weekdays != ["*"]:
        dates.append(f"{','.join(_DAYS[int(day)] for day in weekdays)} *-{_list(months)}-*")
    return [f"{date} {time}" for date in dates]


def crontab_lines(schedule: Schedule) -> list[str]:
    """Two lines for crontab: at the slots, and each hour for what was missed; the log goes to the state folder.

    Raises:
        FaceReconError: cron cannot say the expression.
    """
    assert schedule.cron is not None
    times = schedule.cron.plain()
    variables = [f"{name}={shlex.quote(value)}" for name, value in _variables().items()]
    command = " ".join([*variables, *map(shlex.quote, _command(schedule))])
    log = shlex.quote(str(state_folder() / "schedule.log"))
    line = f"cd {shlex.quote(str(PROJECT))} && {command} >> {log} 2>&1".replace("%", "\\%")
    return [f"{times} {line}", f"@hourly {line}"]


def units(schedule: Schedule) -> tuple[str, str]:
    """The texts of the service and of the timer.

    Raises:
        FaceReconError: systemd cannot say the expression, or a path.
    """
    assert schedule.cron is not None
    note = json.dumps({"file": str(schedule.file), "cron": schedule.cron.text})
    environment = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in _variables().items())
    service = f"""# {note}
[Unit]
Description=facerecon: retraining

[Service]
Type=oneshot
WorkingDirectory={_specifiers(str(PROJECT))}
{environment}
ExecStart=:{" ".join(map(_quoted, _command(schedule)))}
# the run is ended by the process that started it
KillMode=mixed
TimeoutStopSec=120
"""
    slots = "\n".join(f"OnCalendar={each}" for each in [*on_calendar(schedule.cron), MISSED])
    # no Requires=: it would run the service at each boot
    timer = f"""# {note}
[Unit]
Description=facerecon: retraining, {schedule.cron.text}

[Timer]
{slots}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return service, timer


def systemd_answers() -> bool:
    """Whether this user has units that can be started."""
    return shutil.which("systemctl") is not None and _systemctl("show-environment").returncode == 0


def install(schedule: Schedule) -> None:
    """Write the units in place of those there are, and start the timer.

    Raises:
        FaceReconError: systemd does not take them; then none is left.
    """
    for path, text in zip(unit_paths(), units(schedule), strict=True):
        write_text(path, text)
    schedule.begin()
    timer = f"{unit_name()}.timer"
    for arguments in (("daemon-reload",), ("enable", timer), ("restart", timer)):
        done = _systemctl(*arguments)
        if done.returncode:
            uninstall()
            said = " ".join(done.stderr.split())[:300]
            raise FaceReconError(
                f"`systemctl --user {' '.join(arguments)}` fails ({said}), nothing is installed: see journalctl --user"
            )


def uninstall() -> list[Path]:
    """Stop the timer and remove both units and what is kept of their schedule; returns what was removed."""
    schedule = installed()
    present = [path for path in unit_paths() if path.is_file()]
    if not present:
        return []
    _systemctl("disable", "--now", f"{unit_name()}.timer")
    for path in present:
        path.unlink()
    _systemctl("daemon-reload")
    if schedule:
        forget_record(schedule.file)
    return present


def installed() -> Installed | None:
    """The schedule that systemd keeps for this clone; None if it keeps none."""
    service = unit_paths()[0]
    if not service.is_file():
        return None
    try:
        note = json.loads(service.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))
        return Installed(Path(note["file"]), Cron.parse(note["cron"]))
    except (ValueError, KeyError, IndexError, TypeError, FaceReconError) as error:
        raise FaceReconError(
            f"{service} is not as it was written: remove it, and run `facerecon schedule install` again"
        ) from error


def timer_is_active() -> bool:
    """Whether systemd waits for the next slot."""
    return _systemctl("is-active", f"{unit_name()}.timer").returncode == 0


def lingers() -> bool:
    """Whether the user's units run while nobody is logged in; True where nobody can say."""
    if shutil.which("loginctl") is None:
        return True
    shown = subprocess.run(
        ["loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value"],
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() != "no"


def _command(schedule: Schedule) -> list[str]:
    assert schedule.cron is not None
    program = str(Path(sys.executable).parent / "facerecon")
    return [program, "watch", "--once", "--if-missed", "--cron", schedule.cron.text, "-c", str(schedule.file)]


def _variables() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"PATH": path} | {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", "--user", *arguments], capture_output=True, text=True, check=False)


def _list(values: list[int | str]) -> str:
    return ",".join(value if isinstance(value, str) else f"{value:02d}" for value in values)


def _unsayable(cron: Cron, what: str) -> FaceReconError:
    return FaceReconError(f"--cron {cron.text!r}: systemd cannot say {what}: give days as numbers, or weekdays alone")


def _specifiers(text: str) -> str:
    """Text for a unit, in which a percent sign begins a specifier."""
    if not text.isprintable():
        raise FaceReconError(f"{text!a} cannot stand in a unit of systemd: move it to a path of printable letters")
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    escaped = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
