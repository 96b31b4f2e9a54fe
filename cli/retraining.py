"""Commands about retraining by itself: when clips come in, or at set times."""

import sys
from pathlib import Path

import click

from facerecon.errors import FaceReconError

CONFIG = click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), help="YAML file  [default: configs/retraining.yaml]"
)


@click.command()
@CONFIG
@click.option("--cron", help='minute, hour, day of month, month, day of week in local time, as "0 3 * * *"')
@click.option("--once", is_flag=True, help="run now, and end with the run's exit status")
@click.option("--if-missed", is_flag=True, help="with --once and --cron: only if a slot has passed since the last run")
def watch(file: Path | None, cron: str | None, once: bool, if_missed: bool) -> None:
    """Run `zenml pipeline run retraining` when it is due, until Ctrl-C.

    It is due when new clips have settled in the inbox; with --cron at its slots, of which several missed ones are made
    up for by one run.
    """
    from ops.schedule import watch as schedules

    if if_missed and not (once and cron is not None):
        raise FaceReconError("--if-missed goes with --once and --cron: give both")
    schedule = schedules.read_schedule(file, cron)
    if once:
        sys.exit(schedules.once(schedule, if_missed))
    schedules.watch(schedule)
