"""Commands about retraining by itself: when clips come in, or at set times."""

import sys
import time
from pathlib import Path
from typing import Any

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
    """Let the system, or the stack's orchestrator, start retraining at set times."""


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
    """Say for each schedule of this clone when it runs next, and how it ran last; and list those of the stack.

    Those of the stack are registered by `zenml pipeline run retraining -c configs/nightly.yaml`.
    """
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
    if not known + _show_those_of_the_stack():
        click.echo("no schedule: `facerecon schedule install` makes one")


def _show_those_of_the_stack() -> list[Any]:
    from ops.stack.tracker import is_local, use_tracker

    if is_local():
        return []
    from ops.schedule.server import server_schedules

    use_tracker()
    known = server_schedules()
    for each in known:
        where = f", {each.in_cluster} in the cluster" if each.in_cluster else ""
        click.echo(f"{each.name}, {each.cron}: {'active' if each.active else 'paused'}{where}")
        if each.last is None:
            click.echo("  no run so far")
        else:
            click.echo(f"  last run begun on {each.last[0]:%a %Y-%m-%d %H:%M} UTC: {each.last[1]}")
    return known


@schedule.command()
@click.argument("name")
def pause(name: str) -> None:
    """Let a schedule of the stack start no runs until `resume`; NAME is as `show` says it."""
    _set_active(name, False)


@schedule.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let a paused schedule of the stack go on."""
    _set_active(name, True)


def _set_active(name: str, active: bool) -> None:
    from ops.schedule.server import set_active
    from ops.stack.tracker import use_tracker

    use_tracker()
    set_active(name, active)
    click.echo(f"{name} {'is active' if active else 'is paused; a run under way goes on'}")


@schedule.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a schedule of the stack, in ZenML and in the cluster."""
    from ops.schedule.server import delete as delete_schedule
    from ops.stack.tracker import use_tracker

    use_tracker()
    delete_schedule(name)
    click.echo(f"deleted {name}; a run under way goes on")


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
