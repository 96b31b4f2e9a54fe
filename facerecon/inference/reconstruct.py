"""Using a model on photographs, folders and clips: what comes out is written with its record.

A result is whole or absent: its record is written last, and whoever asks for the same again is told that it is there.
The audit log knows of it before it can be seen.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

import av

from facerecon.custody.folder import custody_folder, make_private
from facerecon.custody.signed import loads
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, atomic_path, remove_temporary, sha256_bytes, sha256_file, sync_file, write_text
from facerecon.inference import media
from facerecon.inference.making import Made, Maker, Request, RestorationRequest, Wanted, maker
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.media import Given, Mask
from facerecon.inference.record import Record, new_id
from facerecon.inference.stage import Runtime
from facerecon.marks import MARK_WITHIN, is_marked_clip, is_marked_picture, is_marked_text


@dataclass(frozen=True)
class Result:
    """What became of something that was given: the file to look at, its record, and whether it was there already.

    ``error`` says why there is none.
    """

    given: Path
    path: Path | None = None
    record: Record | None = None
    already: bool = False
    error: str = ""


def reconstruct(
    paths: tuple[Path, ...], request: Request, out: Path, mask: Path | None = None, threads: int = 1
) -> Iterator[Result]:
    """Reconstruct all that lies at ``paths`` into the folder ``out``; one that cannot be used does not end the rest.

    ``mask`` is a mask's file, or a folder of them, named as the photos; ``threads`` are those of the network.

    Raises:
        FaceReconError: what is asked for is impossible whatever the pictures are, or nothing can be written.
    """
    return _each(paths, replace(request, masked=mask is not None), out, mask, threads)


def restore(paths: tuple[Path, ...], request: RestorationRequest, out: Path, threads: int = 1) -> Iterator[Result]:
    """Restore all that lies at ``paths`` into the folder ``out``, as ``reconstruct`` does."""
    return _each(paths, request, out, None, threads)


def measure(paths: tuple[Path, ...], request: MeasurementRequest, out: Path, threads: int = 1) -> Iterator[Result]:
    """Measure the faces in all that lies at ``paths``, as ``reconstruct`` does; what comes out goes to ``out``."""
    return _each(paths, request, out, None, threads)


def _each(paths: tuple[Path, ...], request: Wanted, out: Path, mask: Path | None, threads: int) -> Iterator[Result]:
    found = media.find_given(paths, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaceReconError(f"{out}: cannot be made ({error.strerror}): give another folder by --out") from error
    runtime = Runtime(threads, {model.digest: model.content for model in request.models})
    with _present(out), runtime, maker(request, runtime) as making:
        work = _Work(making, out, mask, request.clips)
        for given in found:
            try:
                yield work.do(given)
            except FaceReconError as error:
                yield Result(given.path, error=error.message)


Content = bytes | Path | Callable[[str], bytes]
"""Of a file: its bytes, where it lies, or what makes its bytes of what the names of the result's files begin with."""


class _Work:
    """A folder to write to, and what lies there already."""

    def __init__(self, making: Maker, out: Path, mask: Path | None, clips: str) -> None:
        self._making, self._out, self._mask, self._clips = making, out, mask, clips
        self._done = _requests_in(out)

    def do(self, given: Given) -> Result:
        """Make the result of one photo or clip, unless that was done before."""
        mask = self._mask_of(given)
        if given.clip:
            sha256 = media.clip_sha256(given.path)
        else:
            image, sha256 = media.read_photo(given.path)
        asked = self._making.asked(sha256, mask)
        if asked in self._done:
            return Result(given.path, self._done[asked], already=True)
        if not given.clip:
            made = self._making.photo(image, sha256, mask, str(given.path))
            path = self._publish(given, made, {**made.pictures, **made.texts})
        else:
            unfinished = f"{TEMPORARY}{new_id()}"
            target = self._out / f"{unfinished}{self._clips}"
            try:
                made = self._making.clip(given.path, sha256, mask, target)
                path = self._publish(given, made, {self._clips: target, **made.beside})
            finally:
                for left in self._out.glob(f"{unfinished}*"):
                    left.unlink(missing_ok=True)
        self._done[asked] = path
        return Result(given.path, path, made.record)

    def _mask_of(self, given: Given) -> Mask | None:
        path = self._mask
        if path is None or not path.is_dir():
            return None if path is None else media.read_mask(path)
        found = sorted(path.glob(f"{escape(str(given.name))}.*"))
        if len(found) != 1:
            what = f"{len(found)} masks" if found else "no mask"
            raise FaceReconError(f"{given.path}: {what} of the name {given.name} in {path}: one is expected")
        return media.read_mask(found[0])

    def _publish(self, given: Given, made: Made, contents: Mapping[str, Content]) -> Path:
        """Write the files of a result, its record last, under a name that nothing has; the path of the first."""
        digests = {suffix: sha256_file(content) for suffix, content in contents.items() if isinstance(content, Path)}
        with _one_at_a_time():
            stem = _free_stem(self._out / given.name, (*contents, ".json"))
            written = {
                suffix: content(stem.name) if callable(content) else content for suffix, content in contents.items()
            }
            digests |= {
                suffix: sha256_bytes(content) for suffix, content in written.items() if isinstance(content, bytes)
            }
            files = {f"{stem.name}{suffix}": digests[suffix] for suffix in contents}
            sidecar = self._making.sidecar(made, files)
            made.log()
            for suffix, content in written.items():
                path = _with(stem, suffix)
                if isinstance(content, Path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    sync_file(content)
                    content.replace(path)
                else:
                    with atomic_path(path) as temporary:
                        temporary.write_bytes(content)
            write_text(_with(stem, ".json"), sidecar)
        return _with(stem, next(iter(contents)))


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}{suffix}")


def _free_stem(wanted: Path, suffixes: tuple[str, ...]) -> Path:
    """``wanted``, or with a number behind it, so that none of its files is there; what a killed run has left without
    a record may be replaced."""
    number = 1
    while True:
        stem = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        there = [path for suffix in suffixes if (path := _with(stem, suffix)).exists() or path.is_symlink()]
        if not there or (not _with(stem, ".json").exists() and all(map(_is_ours, there))):
            return stem
        number += 1


def _is_ours(path: Path) -> bool:
    """Whether a file bears this project's mark."""
    if not path.is_file() or path.is_symlink():
        return False
    if path.suffix == ".png":
        return is_marked_picture(path.read_bytes())
    if path.suffix in (".json", ".jsonl", ".obj"):
        with path.open("rb") as stream:
            return is_marked_text(stream.read(MARK_WITHIN))
    try:
        with av.open(str(path)) as container:
            return is_marked_clip(container)
    except (av.FFmpegError, OSError):
        return False


def _requests_in(out: Path) -> dict[str, Path]:
    """The requests whose results are in ``out`` already, with the file to look at of each."""
    found = {}
    for path in sorted(out.rglob("*.json")):
        try:
            document = loads(path.read_text(encoding="utf-8"))["document"]
            asked, names = document["record"]["document"]["request"], list(document["files"])
        # somebody's own file
        except (FaceReconError, OSError, ValueError, KeyError, TypeError):
            continue
        if all((path.parent / name).is_file() for name in names):
            found[str(asked)] = path.parent / min(names, key=_order)
    return found


def _order(name: str) -> tuple[bool, int]:
    """Of a result's files the first in this order is to be looked at: a picture or clip, of these the plainest name."""
    return not name.endswith((".landmarks.png", ".landmarks.mp4", ".landmarks.mkv")), len(name)


@contextmanager
def _present(out: Path) -> Iterator[None]:
    """Be one of those who write to ``out``; who is alone there removes what killed runs have left."""
    with ExitStack() as stack:
        descriptor = os.open(out, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
                remove_temporary(folder)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of all processes of this user one chooses names and writes results at a time."""
    make_private(custody_folder())
    with (custody_folder() / "publish.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
