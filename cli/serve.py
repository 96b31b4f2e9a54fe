"""Commands about the service: run it, and say who may use it."""

import click


@click.command()
@click.option("--model", metavar="MODEL", help="demo@champion, demo/3 or a file.onnx [default: the one champion]")
@click.option(
    "--restore-model", metavar="MODEL", help="the same of restoration [default: its one champion, once there is one]"
)
@click.option(
    "--landmarks-model", metavar="MODEL", help="the same of landmarks [default: its one champion, once there is one]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="another than this machine's needs a token first")
@click.option("--port", type=click.IntRange(0, 65535), default=8100, show_default=True)
@click.option("--name", "names", multiple=True, metavar="HOST", help="a name under which browsers reach it, too")
@click.option("--workers", type=click.IntRange(1, 256), help="photos made at once [default: one a core]")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="threads of each network")
@click.option("--queue", type=click.IntRange(0, 10_000), default=16, show_default=True, help="photos that may wait")
@click.option("--photo-mb", type=click.FloatRange(0, min_open=True), default=25, show_default=True, help="MB a photo")
@click.option(
    "--megapixels", type=click.FloatRange(0, 100, min_open=True), default=25, show_default=True, help="pixels a photo"
)
@click.option("--video-mb", type=click.FloatRange(0, min_open=True), default=500, show_default=True, help="MB a video")
@click.option("--streams", type=click.IntRange(0, 64), default=2, show_default=True, help="clips shown live at once")
@click.option(
    "--keep-hours",
    type=click.FloatRange(0, min_open=True),
    default=24,
    show_default=True,
    help="so long videos are kept",
)
def serve(**given: object) -> None:
    """Serve the API and its page until Ctrl-C or SIGTERM; the link that is printed lets one browser in.

    Where files alone are named, their tasks are served and no champions.
    """
    from serving.server import serve as run
    from serving.settings import ServeSettings

    settings = ServeSettings.model_validate({name: value for name, value in given.items() if value is not None})
    run(settings, lambda link: click.echo(f"Open once: {link}"))


@click.group()
def token() -> None:
    """Add, list or revoke the tokens with which programs and other people use the service."""


@token.command()
@click.argument("name")
def add(name: str) -> None:
    """Make a token called NAME and show it, this once: only its hash is kept."""
    from serving.tokens import add_token

    click.echo(add_token(name))


@token.command("list")
def listed() -> None:
    """List the tokens by name."""
    from serving.tokens import read_tokens

    tokens = read_tokens()
    for each in tokens:
        click.echo(f"{each.made}  {each.name}")
    if not tokens:
        click.echo("No token yet: make one with `facerecon token add NAME`.")


@token.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Make the token called NAME worthless, also for a service that runs."""
    from serving.tokens import revoke_token

    revoke_token(name)
    click.echo(f"{name} may no longer use the service.")
