"""The facerecon command."""

import os
import sys
from pathlib import Path

import click

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from cli.custody import audit, key
from cli.data import forget
from cli.models import models, promote, rollback
from cli.retraining import footage, schedule, watch
from cli.runs import doctor, report, reproduce
from cli.serve import serve, token
from cli.use import landmarks, reconstruct, restore, verify
from facerecon.errors import FaceReconError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Reproducible face reconstruction: set-up and look-up around `zenml pipeline run training`."""


@cli.command()
@click.argument("names", nargs=-1)
def weights(names: tuple[str, ...]) -> None:
    """Fetch the pretrained weights that are missing, check all, and list them.

    Optional ones are fetched when they are first used; NAMES fetches those now, and no others.
    """
    from rich.console import Console
    from rich.table import Table

    from facerecon.weights import fetch_all, table, weights_path

    for name in names:
        weights_path(name)
    if not names:
        fetch_all()
    shown = Table("name", "purpose", "licence", "file", "here")
    for row in table():
        here = "yes" if row["present"] else "no, optional" if row["optional"] else "no"
        shown.add_row(*(str(row[key]) for key in ("name", "purpose", "licence", "file")), here)
    Console().print(shown)


@cli.command()
@click.argument("name", default="local")
@click.option("--new-registry", is_flag=True, help="it belongs from now on to the registry that its tracker holds")
def stack(name: str, new_registry: bool) -> None:
    """Register a stack of infra/stacks/ with ZenML and make it this clone's active one.

    NAME is that of its file; without one it is this machine's own. Safe to repeat: what differs is changed.
    """
    from ops.stack.registering import register_stack

    click.echo(f"active ZenML stack: {register_stack(name, new_registry)}")


@cli.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("data/sample"), show_default=True)
@click.option("--identities", type=click.IntRange(1), default=150, show_default=True)
@click.option("--photos", type=click.IntRange(1), default=4, show_default=True, help="per identity")
@click.option("--size", type=click.IntRange(64, 1024), default=256, show_default=True, help="pixels a side")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option("--lights", is_flag=True, help="each photo from the front, the side, above or behind, or in dim light")
def sample(folder: Path, identities: int, photos: int, size: int, seed: int, workers: int, lights: bool) -> None:
    """Draw sample faces: people who do not exist, with known truth. What is there already is kept."""
    from facerecon.synthetic import write_dataset
    from facerecon.weights import weights_path

    write_dataset(folder, weights_path("face_landmarker"), identities, photos, size, seed, workers, lights)
    click.echo(f"{identities * photos} faces of {identities} people in {folder}")


@cli.command()
@click.option("--mlflow-port", type=click.IntRange(1, 65535), default=5001, show_default=True)
@click.option("--zenml-port", type=click.IntRange(1, 65535), default=8237, show_default=True)
def ui(mlflow_port: int, zenml_port: int) -> None:
    """Start MLflow's and ZenML's web pages on this machine; Ctrl-C ends both."""
    from ops.ui import serve

    serve(mlflow_port, zenml_port)


COMMANDS = (
    *(doctor, report, reproduce, models, promote, rollback, forget, watch, schedule, footage),
    *(reconstruct, restore, landmarks, verify, key, audit, serve, token),
)

for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command; what a user can mend is one line, ``FACERECON_DEBUG=1`` shows the traceback."""
    if not os.environ.get("FACERECON_DEBUG"):
        cli()
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        if isinstance(error, FaceReconError):
            raise
        error.show()
        sys.exit(error.exit_code)
