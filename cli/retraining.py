"""Commands about retraining by itself: when clips come in, or at set times."""

import sys
import time
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


@click.group()
def schedule() -> None:
    """Let the system start retraining at set times."""


@schedule.command()
@CONFIG
@click.option("--cron", help='as for `facerecon watch`  [default: "0 3 * * *"]')
def install(file: Path | None, cron: str | None) -> None:
    """Write and start a timer of systemd for this clone, in place of the one there is; or say what crontab needs."""
    from ops.schedule import units, watch

    chosen = watch.read_schedule(file, cron or units.DEFAULT_CRON)
    assert chosen.cron is not None
    if not units.systemd_answers():
        lines = units.crontab_lines(chosen)
        chosen.begin()
        click.echo("systemd does not answer here; put these two lines into `crontab -e`:", err=True)
        click.echo("\n".join(lines))
        return
    units.install(chosen)
    click.echo(f"{units.unit_name()}.timer is started: next run on {chosen.cron.shown(chosen.cron.next(time.time()))}")
    if not units.lingers():
        click.echo("lingering is off, so it runs only while you are logged in: `loginctl enable-linger` changes that")


@schedule.command()
def show() -> None:
    """Say for each schedule of this clone when it runs next, and how it ran last."""
    from ops.schedule import units
    from ops.schedule.cron import Cron
    from ops.schedule.record import records

    kept, known = units.installed(), list(records())
    if kept:
        state = "waits" if units.timer_is_active() else "does not run: `facerecon schedule install` starts it again"
        click.echo(f"{units.unit_name()}.timer {state}")
    for record in known:
        cron = Cron.parse(record.cron)
        click.echo(f"{record.file}, {record.cron}: next run on {cron.shown(cron.next(time.time()))}")
        if record.started is None or record.ended is None:
            click.echo("  no run so far")
        else:
            outcome = f"failed with exit status {record.status}" if record.status else "ended well"
            click.echo(f"  last run on {cron.shown(record.started)}, {outcome} on {cron.shown(record.ended)}")
    if not known:
        click.echo("no schedule: `facerecon schedule install` makes one")


@schedule.command()
def uninstall() -> None:
    """Stop and remove this clone's timer, and nothing else."""
    from ops.schedule import units

    removed = units.uninstall()
    for path in removed:
        click.echo(f"removed {path}")
    if not removed:
        click.echo("systemd keeps no schedule of this clone; lines in your crontab are removed by `crontab -e`")


@click.command()
@click.option("--people", is_flag=True, help="a row a person: the key, by which `facerecon forget` knows them")
def footage(people: bool) -> None:
    """List the clips that were taken in, what came of each, and who is in which split."""
    from rich.console import Console
    from rich.table import Table

    from facerecon.data.collected.account import clip_rows, people_rows, summary
    from facerecon.data.collected.ledger import Ledger
    from facerecon.workspace import collected_folder

    ledger, console = Ledger.read(collected_folder()), Console(highlight=False)
    if not ledger.clips:
        console.print("No clip was taken in yet: put clips into inbox/, then `zenml pipeline run retraining`.")
        return
    if people:
        told = Table("person", "split", "seen in clip, from second to second")
        for key, split, seen in people_rows(ledger, collected_folder()):
            told.add_row(key, split, seen)
        console.print(told)
        return
    shown = Table("clip", "taken in", "outcome", "faces", "too poor", "people")
    for row in clip_rows(ledger):
        shown.add_row(row.name, row.taken, row.outcome, str(row.faces), str(row.poor), row.people)
    console.print(shown)
    for line in summary(ledger):
        console.print(line, markup=False)
