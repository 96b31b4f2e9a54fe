"""Make the image that steps run in: `make image`."""

import click

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from infra.images.build import GIGABYTE, make


@click.command()
@click.option("--name", help="[default: localhost/facerecon:cpu, or :gpu]")
@click.option("--base", help="Debian 12, or its root filesystem as an image  [default: debian:bookworm-slim]")
@click.option("--gpu", is_flag=True, help="with CUDA's libraries, about 4 GB more")
@click.option("--wheel", "wheels", multiple=True, help="in place of a locked package: 'NAME @ ADDRESS --hash=sha256:…'")
@click.option("--engine", help="podman or docker  [default: the first that is installed]")
def main(name: str | None, base: str | None, gpu: bool, wheels: tuple[str, ...], engine: str | None) -> None:
    """Make it of this tree, uncommitted changes included, and the packages of infra/images/requirements.lock."""
    made = make(name or f"localhost/facerecon:{'gpu' if gpu else 'cpu'}", base, gpu, wheels, engine)
    click.echo(f"{made.name}: {made.size / GIGABYTE:.1f} GB; {made.peak / GIGABYTE:.1f} GB of disk while it was made")


if __name__ == "__main__":
    main()
