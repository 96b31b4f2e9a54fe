"""Commands about registered models: see them, follow one's descent, promote and roll back by hand."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ops.journal import Move


@click.command()
@click.option("--lineage", "version", metavar="VERSION", help="what made VERSION: demo/3, demo@champion, or demo")
def models(version: str | None) -> None:
    """List all registered models' versions, or tell what one is made of and descends from."""
    from rich.console import Console
    from rich.table import Table

    from ops.catalogue import all_versions, lineage
    from ops.promotion import reconcile

    _stack()
    reconcile()
    console = Console(markup=False, highlight=False)
    if version is not None:
        for heading, facts in lineage(version):
            shown = Table(show_header=False, box=None, pad_edge=False, title=heading, title_justify="left")
            for name, value in facts:
                shown.add_row(name, value)
            console.print(shown, "")
        return
    rows = all_versions()
    if not rows:
        console.print("No model is registered yet: train one with `zenml pipeline run training`.")
        return
    metrics = list(dict.fromkeys(name for row in rows for name in row.figures))
    table = Table("version", "aliases", *metrics, "data", "created", "decision")
    for row in rows:
        table.add_row(
            f"{row.config}/{row.version}",
            "\n".join(row.aliases),
            *(row.figures.get(name, "") for name in metrics),
            f"{row.data}\n{row.licence}",
            row.created,
            row.decision,
        )
    console.print(table)
    console.print("Figures: means over the gate's faces and the levels of the case that decides.")


@click.command()
@click.argument("version")
@click.option("--reason", required=True, metavar="TEXT", help="why; it goes into the journal")
@click.option("--anchor", is_flag=True, help="make it the anchor: beside which losses are bounded, too")
def promote(version: str, reason: str, anchor: bool) -> None:
    """Make VERSION (demo/3, or 3 where there is one model) champion by hand, whatever the gate says."""
    from ops.promotion import anchor_by_hand, promote_by_hand

    _stack()
    if not anchor:
        _tell(promote_by_hand(version, reason))
        return
    move = anchor_by_hand(version, reason)
    before = "there was none" if move.anchor[0] is None else f"it was version {move.anchor[0]}"
    click.echo(f"Version {move.version} of {move.model} is the anchor now; before {before}.")


@click.command()
@click.argument("config", required=False)
@click.option("--reason", required=True, metavar="TEXT", help="why; it goes into the journal")
def rollback(config: str | None, reason: str) -> None:
    """Give the champion before its place back; CONFIG may be left out where there is one model."""
    from ops.promotion import rollback as roll_back

    _stack()
    _tell(roll_back(config, reason))


def _stack() -> None:
    """Commands speak to the active stack's tracker, whatever MLflow's variables say."""
    from ops.stack.tracker import use_tracker

    use_tracker()


def _tell(move: "Move") -> None:
    from ops.zenml_models import follow

    follow()
    before = "there was none" if move.champion[0] is None else f"it was version {move.champion[0]}"
    click.echo(f"Version {move.version} of {move.model} is champion now; before {before}.")
