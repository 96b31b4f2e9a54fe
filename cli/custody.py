"""Commands about the chain of custody: the key that signs records, and the log of what was done."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facerecon.custody.audit import AuditLog


@click.group()
def key() -> None:
    """Show or rotate the key that signs records."""


@key.command()
@click.option("--public", is_flag=True, help="print nothing but the public key, to be handed to others")
def show(public: bool) -> None:
    """Show the key's fingerprint, where it lies, the public key and former ones; make it if there is none."""
    from facerecon.custody.keys import key_path, known_keys, signing_key

    mine = signing_key().public
    if public:
        click.echo(mine.pem, nl=False)
        return
    click.echo(f"fingerprint  {mine}\nprivate key  {key_path()}")
    for former in known_keys().former:
        click.echo(f"former       {former}")
    click.echo(f"\n{mine.pem}", nl=False)


@key.command()
def rotate() -> None:
    """Replace the key by a new one; what the old one signed stays signed by a known key."""
    from facerecon.custody import keys
    from facerecon.custody.audit import audit_log

    current = keys.known_keys().current
    # before and after: a rotation is never without a line
    if current is not None:
        audit_log().append("key-rotation-begun", old=current.fingerprint)
    old, new = keys.rotate()
    audit_log().append("key-rotated", old=old.fingerprint, new=new.fingerprint)
    click.echo(f"The key is {new} now; before it was {old}, which stays known.")


@click.command()
@click.option("--list", "listed", is_flag=True, help="show every entry")
def audit(listed: bool) -> None:
    """Check the whole audit log: how much of what, from when to when, what was torn; status 1 if it is broken."""
    from facerecon.custody.audit import audit_log
    from facerecon.errors import FaceReconError

    log = audit_log()
    if listed:
        _show(log)
    report = log.check()
    if report.first is not None:
        entries = "1 entry" if report.head.number == 1 else f"{report.head.number} entries"
        click.echo(f"{entries} in {log.path}, from {report.first} to {report.last}")
        for event, count in sorted(report.events.items()):
            click.echo(f"  {count:6}  {event}")
        click.echo(f"head: {report.head.number} {report.head.digest}")
    elif not report.broken:
        click.echo(f"No entry yet in {log.path}.")
    for line in report.told:
        click.echo(line)
    if report.broken:
        raise FaceReconError(report.broken)


def _show(log: "AuditLog") -> None:
    """All entries up to the first thing that is wrong, which ``audit`` tells."""
    from contextlib import suppress

    from rich.console import Console
    from rich.table import Column, Table

    from facerecon.errors import FaceReconError

    table = Table(
        *(Column(name, no_wrap=True) for name in ("number", "time (UTC)", "event")), Column("facts", overflow="fold")
    )
    with suppress(FaceReconError):
        for entry in log.lines():
            facts = "\n".join(f"{name} {value}" for name, value in entry.facts.items())
            table.add_row(str(entry.head.number), entry.time, entry.event, facts)
    Console(markup=False, highlight=False).print(table)
