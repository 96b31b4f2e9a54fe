"""Commands about the data: forget a person, a file or a clip."""

import logging
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ops.forget import Outcome, Survey


@click.command()
@click.option(
    "--identity",
    metavar="NAME",
    help="all photos of this person, the name exactly as the data have it, or a key of `facerecon footage --people`",
)
@click.option("--file", metavar="URI", help="one photo: its uri in the manifest, or its path")
@click.option(
    "--clip",
    metavar="CLIP",
    help="a clip as a whole, with all faces taken out of it; of an inbox by its name there, or its SHA-256",
)
@click.option("--reason", required=True, metavar="TEXT", help="why, without the name: it is kept in forgotten.json")
@click.option("--yes", is_flag=True, help="remove without asking")
def forget(identity: str | None, file: str | None, clip: str | None, reason: str, yes: bool) -> None:
    """Show what this clone, and the active stack's servers, keep of a person, a file or a clip, and remove it once you
    say so.

    The same photos are refused from then on. Exit status 0 if nothing is left in this clone and on these servers, 1 if
    something is: the last lines say what, and what lies in remotes. Killed on its way, the same command finishes the
    work.
    """
    chosen = [(kind, name) for kind, name in (("identity", identity), ("file", file), ("clip", clip)) if name]
    if len(chosen) != 1:
        raise click.UsageError("say one of --identity, --file and --clip")
    # imported when they are used: they take seconds
    from facerecon.data.forget import Target
    from ops.faults import clear_faults
    from ops.forget import check_reason, survey
    from ops.forget import forget as carry_out
    from ops.registry import answering
    from ops.running import nothing_running
    from ops.stack.tracker import use_tracker

    use_tracker()
    for tool in ("zenml", "dvc"):
        logging.getLogger(tool).setLevel(logging.WARNING)
    with nothing_running(), clear_faults(), answering():
        found = survey(Target(*chosen[0]))  # type: ignore[arg-type]  # the kinds are those above
        check_reason(found, reason)
        _show(found)
        if not yes:
            click.confirm("Remove all this, for ever?", abort=True)
        outcome = carry_out(found, reason)
    _tell(found, outcome)
    sys.exit(bool(outcome.left or outcome.clips))


def _show(found: "Survey") -> None:
    from facerecon.workspace import PROJECT
    from ops.forget import uses
    from ops.stack.tracker import chosen_name, is_local

    kind, name = found.target.kind, found.target.name
    whose = "this clone keeps" if is_local() else f"this clone and the servers of the stack {chosen_name()} keep"
    click.echo(f"What {whose} of {kind} {name}:")
    frames = [trace for trace in found.traces if trace.clip and not trace.whole]
    faces = [trace for trace in found.traces if trace.clip_sha256 and not trace.clip and not trace.whole]
    inbox = [trace for trace in found.traces if trace.clip and trace.whole]
    for folder, count in sorted(_by_folder(found.data, str(PROJECT)).items()):
        click.echo(f"  {count:5} files in {folder}")
    for number, what in (
        (sum(not trace.clip_sha256 for trace in found.traces if not trace.clip), "photos"),
        (len(frames), f"frames of {len({trace.clip for trace in frames})} clips"),
        (len(faces), f"faces collected out of {len({trace.clip_sha256 for trace in faces})} clips"),
        (len(inbox), "clips in an inbox" if kind == "clip" else "clips in an inbox that show others, too: they stay"),
        (len(found.sha256s), "photos' aligned faces, where they were cut out"),
        (len(found.frozen), "files of degraded evaluation faces: written anew without theirs"),
        (len(found.manifests), "manifests that name them"),
        (len(found.artifacts), "ZenML artifacts with rows or pictures"),
        (len(found.runs), "MLflow runs: their reports, pictures and tables (figures and weights stay)"),
        (len(found.files), "published reports, pictures and pages"),
        (len(found.kept.objects), "DVC objects"),
        (len(found.kept.listings), "DVC listings that name them"),
    ):
        if number:
            click.echo(f"  {number:5} {what}")
    for use in uses(found):
        click.echo(f"  model {use.said}")


def _by_folder(paths: list[str], project: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path in paths:
        folder = path.rpartition("/")[0].removeprefix(f"{project}/")
        counts[folder] = counts.get(folder, 0) + 1
    return counts


def _tell(found: "Survey", outcome: "Outcome") -> None:
    from facerecon.data.forget import shown_path
    from facerecon.workspace import PROJECT
    from ops.stack.tracker import is_local

    click.echo(f"\nForgotten: {len(found.sha256s)} photos, group {', '.join(found.ids) or 'none'} in forgotten.json.")
    for use in outcome.versions:
        click.echo(f"model {use.said}")
    for copy in outcome.copies:
        word = "holds" if copy.certain else "may hold"
        objects, listings = copy.kept.objects, copy.kept.listings
        click.echo(
            f"remote {copy.name} ({copy.url}) {word} {len(objects)} objects and {len(listings)} listings of them:"
        )
        for oid in (*objects, *listings):
            click.echo(f"  {oid}")
    for oid, commits in outcome.commits.items():
        shown = ", ".join(commit[:10] for commit in commits[:3])
        click.echo(
            f"git: data of {shown}{' and more' if len(commits) > 3 else ''} ({oid}) cannot be checked out any more"
        )
    for clip in outcome.clips:
        click.echo(
            f"LEFT {shown_path(clip, PROJECT)}: the clip shows them still: cut it, or `facerecon forget --clip` it"
        )
    for line in outcome.left:
        click.echo(f"LEFT {line}")
    if not is_local():
        click.echo(
            "Not reached: backups of the servers, and what other machines that work with them keep: pull "
            "forgotten.json there and give the command again, where the person's photos lie."
        )
    click.echo(
        "Commit forgotten.json (and data.dvc and collected.dvc, where they changed): other clones refuse them by it."
    )
