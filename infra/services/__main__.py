"""Start, show and end the servers of the stack `services`: `make services`, `make services-down`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from facerecon.errors import FaceReconError
from infra.services.compacting import compact as write_anew
from infra.services.environment import prepare, services_folder
from infra.services.programs import services
from infra.services.supervisor import running, start, stop
from ops.faults import Stop, stoppable

NAMES = ("ZenML", "MLflow", "SeaweedFS", "MariaDB", "PostgreSQL")
"""In the order in which they are ended."""


@click.group()
def main() -> None:
    """PostgreSQL, S3 (SeaweedFS), MLflow, MariaDB and ZenML, on this machine only."""


@main.command()
@click.option("--first-port", type=int, help="the eight ports from here on; kept for the next time")
@click.option("--stay", is_flag=True, help="until SIGTERM or Ctrl-C, which ends them, as in a container")
def up(first_port: int | None, stay: bool) -> None:
    """Start those that do not run, and print their addresses once all answer."""
    with ended_by_signal() if stay else nullcontext():
        start(services(prepare(first_port)), click.echo)
        click.echo(f"secrets and logs: {services_folder()}; next: facerecon stack services")


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Wait for a signal after what is done inside, and end the servers.

    Raises:
        FaceReconError: one of them ended by itself.
    """
    with stoppable():
        try:
            yield
            while not (absent := [name for name in NAMES if running(name) is None]):
                time.sleep(1)
            raise FaceReconError(f"{absent[0]} has ended by itself: see its log in {services_folder() / 'logs'}")
        except Stop:
            click.echo("ending")
        finally:
            for name in NAMES:
                stop(name)


@main.command()
def down() -> None:
    """End them; what they hold is kept."""
    ended = [name for name in NAMES if stop(name)]
    click.echo(f"ended: {', '.join(ended)}" if ended else "none was running")


@main.command()
def compact() -> None:
    """Take what was removed out of their files, too; they run on."""
    write_anew(prepare(None), click.echo)


@main.command()
def status() -> None:
    """Which of them run; exit status 1 if one does not."""
    found = {name: running(name) for name in NAMES}
    for name, process in found.items():
        click.echo(f"{name:12} {'does not run' if process is None else f'pid {process.pid}'}")
    if None in found.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
