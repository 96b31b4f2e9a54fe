"""Commands about runs: look at a report, make a run again, see what is missing."""

import sys
import webbrowser

import click


@click.command()
@click.argument("run", default="")
@click.option("--open", "show", is_flag=True, help="open it in the browser")
def report(run: str, show: bool) -> None:
    """Say where the report of RUN is: an id, a name, a version as demo/3, or a config as demo. Default: the newest."""
    from ops.reports import find_report

    path = find_report(run)
    click.echo(path)
    if show and not webbrowser.open(path.as_uri()):
        click.echo("no browser could be started: open the file by hand", err=True)


@click.command()
@click.argument("run")
@click.option("--keep", is_flag=True, help="keep the folder in which it was run again")
def reproduce(run: str, keep: bool) -> None:
    """Make RUN (an id, a name, or a version as demo/3) again in a worktree of its own, and compare what comes out.

    Exit status 0 if weights, ONNX file and every figure are the same, 1 if not.
    """
    from rich.console import Console

    from ops.reproduce import reproduce as run_again

    outcome = run_again(run, keep)
    console = Console()
    if not outcome.results:
        console.print(
            f"{outcome.run} is reproduced: the same ONNX file, byte for byte, and {outcome.figures} figures alike."
        )
    else:
        console.print(f"{outcome.run} is not reproduced: {len(outcome.results)} of {outcome.figures} figures differ.")
        for one in outcome.results[:10]:
            console.print(f"  {one.name}: {one.then} then, {one.now} now", highlight=False)
        if not outcome.causes:
            console.print("No tag differs: code, data, settings and machine are the same as far as they are recorded.")
    if outcome.left_out:
        console.print(
            f"Not compared: {outcome.left_out} figures of face sets that a retraining makes, not this training."
        )
    for one in outcome.causes:
        console.print(f"differs: {one.name}: {one.then} then, {one.now} now", highlight=False)
    sys.exit(bool(outcome.results))


@click.command()
def doctor() -> None:
    """Look at Python, stack, tracker, weights and data, and say what to do. Exit status 1 if something is missing."""
    from rich.console import Console
    from rich.table import Table

    from ops.doctor import examine

    console = Console()
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "bad": "[red]missing[/]"}
    shown = Table("", "", "found", "what to do", box=None)
    found = []
    with console.status("looking"):
        for finding in examine():
            found.append(finding)
            shown.add_row(marks[finding.outcome], finding.name, finding.seen, finding.fix)
    console.print(shown)
    sys.exit(any(finding.outcome == "bad" for finding in found))
