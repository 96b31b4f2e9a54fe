"""Commands that use a model: reconstruct, restore or measure faces in photographs and clips, and verify what came
out."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facerecon.errors import FaceReconError

if TYPE_CHECKING:
    from facerecon.inference.reconstruct import Result
    from facerecon.marks import Words


class Points(click.ParamType):
    """Five points "x,y", set apart by spaces."""

    name = "points"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """One point."""
        try:
            x, y = map(float, value.split(","))
        except ValueError:
            self.fail(f"'{value}' is no point; expected x,y in pixels, such as 120,80", param, ctx)
        return x, y


class FaceChoice(click.ParamType):
    """largest, all, or a number."""

    name = "face"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The choice as ``DetectSettings.faces`` has it."""
        if value in ("largest", "all"):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"'{value}' is none of: largest, all, or a number from 1, the largest face's", param, ctx)
        return int(value)


def _no_mask(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise FaceReconError(
            "--mask: restoration takes no mask, it restores whole faces: `facerecon reconstruct` fills masks"
        )


Command = Callable[..., Any]


def _of_use(*own: Callable[[Command], Command], faces: str = "largest") -> Callable[[Command], Command]:
    """The arguments of a command that uses a model on photos and clips; its ``own`` come after the folder, ``faces``
    are those that it takes unless it is told."""
    common: tuple[Callable[[Command], Command], ...] = (
        click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.option(
            "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="folder for the results"
        ),
        *own,
        click.option(
            "--face", "faces", type=FaceChoice(), default=faces, show_default=True, help="largest, all or a number"
        ),
        click.option(
            "--points", nargs=5, type=Points(), help="one face by hand: eyes, nose, mouth's corners, each x,y"
        ),
        click.option(
            "--model", metavar="MODEL", help="demo@champion, demo/3 or a file.onnx [default: the one champion]"
        ),
        click.option("--lossless", is_flag=True, help="write clips as FFV1 in Matroska, which changes no pixel"),
        click.option("--case", default="", help="what the record calls the case"),
        click.option("--reason", default="", help="why; it goes into the record"),
        click.option("--operator", help="who; it goes into the record [default: the login name]"),
        click.option(
            "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="threads of the network"
        ),
    )

    def decorate(command: Command) -> Command:
        for each in reversed(common):
            command = each(command)
        return command

    return decorate


@click.command()
@_of_use(
    click.option(
        "--mask", type=click.Path(path_type=Path, exists=True), help="white is hidden; a file, or a folder of them"
    ),
    click.option("--hide", "regions", multiple=True, metavar="REGION", help="hide a part of each face by its name"),
    click.option(
        "--dilation", type=click.FloatRange(0, 1), help="enlarge regions by so many eye distances [default: 0.08]"
    ),
    click.option("--restore", "restorer", metavar="MODEL", help="then restore each face by this model of restoration"),
)
def reconstruct(
    inputs: tuple[Path, ...],
    out: Path,
    mask: Path | None,
    model: str | None,
    restorer: str | None,
    threads: int,
    **asked: Any,
) -> None:
    """Fill what is hidden of faces in photos, clips and folders of them; each result has a signed record.

    Exit status 1 if one of INPUTS cannot be used; the others are done all the same.
    """
    from facerecon.contract import INPAINTING, RESTORATION
    from facerecon.inference.making import Request
    from facerecon.inference.reconstruct import reconstruct as run
    from ops.using import model_in_use

    chosen = None if restorer is None else model_in_use(restorer, RESTORATION.task)
    request = Request(**_about(model, INPAINTING.task, asked), restorer=chosen)
    _tell(run(inputs, request, out, mask, threads), request.words)


@click.command()
@_of_use(
    click.option("--mask", hidden=True, expose_value=False, callback=_no_mask),
    click.option(
        "--upscale",
        type=click.IntRange(1, 4),
        default=1,
        show_default=True,
        help="the whole picture comes out so many times as large",
    ),
)
def restore(inputs: tuple[Path, ...], out: Path, model: str | None, threads: int, **asked: Any) -> None:
    """Restore degraded faces in photos, clips and folders of them; each result has a signed record.

    Exit status 1 if one of INPUTS cannot be used; the others are done all the same.
    """
    from facerecon.contract import RESTORATION
    from facerecon.inference.making import RestorationRequest
    from facerecon.inference.reconstruct import restore as run

    request = RestorationRequest(**_about(model, RESTORATION.task, asked))
    _tell(run(inputs, request, out, threads), request.words)


@click.command()
@_of_use(faces="all")
def landmarks(inputs: tuple[Path, ...], out: Path, model: str | None, threads: int, **asked: Any) -> None:
    """Find 68 points, depth and shape of faces in photos, clips and folders of them; each result has a signed record.

    Exit status 1 if one of INPUTS cannot be used; the others are done all the same.
    """
    from facerecon.contract import LANDMARKS
    from facerecon.inference.measuring import MeasurementRequest
    from facerecon.inference.reconstruct import measure

    request = MeasurementRequest(**_about(model, LANDMARKS.task, asked))
    _tell(measure(inputs, request, out, threads), request.words)


def _about(model: str | None, task: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What a request says, with the model that is meant, and who and what makes it."""
    from ops.using import login_name, model_in_use, software

    operator = login_name() if asked["operator"] is None else asked["operator"]
    return {**asked, "model": model_in_use(model, task), "operator": operator, "software": software()}


def _tell(results: Iterator["Result"], words: "Words") -> None:
    """Say what came of each input, and end with status 1 if one could not be used."""
    failed = done = 0
    for result in results:
        if result.error:
            failed += 1
            click.echo(f"Error: {result.error}", err=True)
            continue
        done += 1
        if result.record is None:
            click.echo(f"{result.path}  there already")
            continue
        changed = [face for frame in result.record.frames for face in frame.faces if face.done]
        frames = f" in {len(result.record.frames)} frames" if result.record.original.kind == "clip" else ""
        faces = f"{len(changed)} {'face' if len(changed) == 1 else 'faces'}"
        click.echo(f"{result.path}  {faces} {words.changed}{frames}")
        remarks = {remark: None for frame in result.record.frames for remark in frame.remarks}
        for warning in (*result.record.warnings, *list(remarks)[:5]):
            click.echo(f"  warning: {warning}", err=True)
    if done:
        click.echo(words.statement, err=True)
    sys.exit(bool(failed))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--original", type=click.Path(path_type=Path), help="the photo or clip, to run it again")
@click.option("--mask", type=click.Path(path_type=Path), help="the mask, if one was given")
@click.option(
    "--model",
    "models",
    metavar="MODEL",
    multiple=True,
    help="the model, if its version is no longer registered: a file.onnx; of two models give each",
)
@click.option("--key", type=click.Path(path_type=Path), help="a public key to trust, as `facerecon key show` prints it")
def verify(file: Path, original: Path | None, mask: Path | None, models: tuple[str, ...], key: Path | None) -> None:
    """Say whether a result is untouched, who signed it, and if it comes out again.

    FILE is a picture, a clip, or what lies beside it: the record, values or a mesh. Exit status 0 if all is as it was
    made, 1 if something is not, 2 if it was not run again and nothing else is wrong.
    """
    from facerecon.custody.keys import read_public_key
    from facerecon.inference.verification import Given
    from facerecon.inference.verification import verify as look
    from ops.using import models_of

    trusted = None if key is None else read_public_key(key)
    verdict = look(Given(file, original, mask, trusted, lambda record: models_of(record, models)))
    colours = {"ok": "green", "note": "yellow", "bad": "red"}
    for finding in verdict.findings:
        click.echo(f"{click.style(f'{finding.mark:4}', colours[finding.mark])}  {finding.text}")
    sys.exit(verdict.status)
