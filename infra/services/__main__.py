"""Start, show and end the servers of the stack `services`: `make services`, `make services-down`."""

import click

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from infra.services.environment import prepare, services_folder
from infra.services.programs import services
from infra.services.supervisor import running, start, stop

NAMES = ("ZenML", "MLflow", "SeaweedFS", "MariaDB", "PostgreSQL")
"""In the order in which they are ended."""


@click.group()
def main() -> None:
    """PostgreSQL, S3 (SeaweedFS), MLflow, MariaDB and ZenML, on this machine only."""


@main.command()
@click.option("--first-port", type=int, help="the eight ports from here on; kept for the next time")
def up(first_port: int | None) -> None:
    """Start those that do not run, and print their addresses once all answer."""
    start(services(prepare(first_port)), click.echo)
    click.echo(f"secrets and logs: {services_folder()}; next: facerecon stack services")


@main.command()
def down() -> None:
    """End them; what they hold is kept."""
    ended = [name for name in NAMES if stop(name)]
    click.echo(f"ended: {', '.join(ended)}" if ended else "none was running")


@main.command()
def status() -> None:
    """Which of them run."""
    for name in NAMES:
        process = running(name)
        click.echo(f"{name:12} {'does not run' if process is None else f'pid {process.pid}'}")


if __name__ == "__main__":
    main()
