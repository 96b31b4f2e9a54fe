"""Reconstructing photographs, folders and clips: the chain is run, and what comes out is written with its record.

A result is whole or absent: its record is written last, and whoever asks for the same again is told that it is there.
The audit log knows of it before it can be seen.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Literal

import av

import facerecon.inference.stages  # noqa: F401  # registers them
from facerecon.custody.audit import audit_log
from facerecon.custody.folder import custody_folder, make_private
from facerecon.custody.keys import signing_key
from facerecon.custody.signed import dumps, loads, sign
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, atomic_path, remove_temporary, sha256_bytes, sha256_file, write_text
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain
from facerecon.inference.clips import LOSSLESS, LOSSY, clip_writer
from facerecon.inference.frames import HIDDEN, Frame
from facerecon.inference.media import Given, Mask
from facerecon.inference.predictor import Predictor
from facerecon.inference.record import (
    FrameFacts,
    Head,
    MaskFacts,
    ModelFacts,
    OriginalFacts,
    Record,
    frame_facts,
    machine_facts,
    new_id,
    now,
    pixels_digest,
    request_digest,
    stage_facts,
)
from facerecon.inference.stage import Runtime, Stage, make_stage
from facerecon.marks import is_marked_clip, is_marked_picture

Steps = tuple[tuple[str, Mapping[str, Any]], ...]
"""Names of stages with their settings."""


@dataclass(frozen=True)
class Model:
    """The network to use: the bytes of its ONNX file, and what to call it in the record."""

    content: bytes = field(repr=False)
    name: str
    version: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return sha256_bytes(self.content)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    ``faces`` are those to take (see ``DetectSettings``), ``points`` one pointed out by hand, ``regions`` those to
    hide by name, ``mask`` a mask's file or a folder of them, named as the photos. ``case``, ``reason`` and ``operator``
    are what the record says of them. ``software`` is what is known of this program.
    """

    model: Model
    faces: Literal["largest", "all"] | int = "largest"
    points: tuple[tuple[float, float], ...] | None = None
    regions: tuple[str, ...] = ()
    dilation: float | None = None
    mask: Path | None = None
    lossless: bool = False
    case: str = ""
    reason: str = ""
    operator: str = ""
    threads: int = 1
    software: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> Steps:
        """The stages and their settings."""
        detect: dict[str, Any] = {"faces": self.faces} | ({"points": self.points} if self.points else {})
        hide = {"regions": self.regions} | ({} if self.dilation is None else {"dilation": self.dilation})
        named = (("hide", hide),) if self.regions else ()
        return (("detect", detect), *named, ("inpaint", {"model": self.model.digest}))


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


def reconstruct(paths: tuple[Path, ...], request: Request, out: Path) -> Iterator[Result]:
    """Reconstruct all that lies at ``paths`` into the folder ``out``; one that cannot be used does not end the rest.

    Raises:
        FaceReconError: what is asked for is impossible whatever the pictures are, or nothing can be written.
    """
    if not request.regions and request.mask is None:
        raise FaceReconError("nothing is to be hidden: give --mask FILE or --hide REGION")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaceReconError(f"{out}: cannot be made ({error.strerror}): give another folder by --out") from error
    found = media.find_given(paths, out)
    runtime = Runtime(request.threads, {request.model.digest: request.model.content})
    given = frozenset({HIDDEN} if request.mask else ())
    with _present(out), Chain(stages_of(request.steps()), runtime, given) as chain:
        work = _Work(request, chain, out)
        for one in found:
            try:
                yield work.clip(one) if one.clip else work.photo(one)
            except FaceReconError as error:
                yield Result(one.path, error=error.message)


def stages_of(steps: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Stage]:
    """The stages, made of their names and settings.

    Raises:
        FaceReconError: one is not known, or its settings are not such.
    """
    return [make_stage(name, parameters) for name, parameters in steps]


class _Work:
    """One command's work: a chain that is open, and a folder to write to."""

    def __init__(self, request: Request, chain: Chain, out: Path) -> None:
        self._request, self._chain, self._out = request, chain, out
        self._key, self._stages = signing_key(), stage_facts(chain.describe())
        self._machine = machine_facts()
        self._licence = Predictor.load(request.model.content, 1).about.licence
        self._done = _requests_in(out)

    def photo(self, given: Given) -> Result:
        image, sha256 = media.read_photo(given.path)
        mask = self._mask(given)
        asked = self._asked(sha256, mask)
        if asked in self._done:
            return Result(given.path, self._done[asked], already=True)
        if mask:
            media.check_size(mask, image.shape[:2], str(given.path))
        (outcome,) = self._chain.run([Frame(image, hidden=mask.hidden if mask else None)])
        facts = frame_facts(outcome)
        _check_changed([facts], given.path)
        identity, made = new_id(), now()
        confidence = pictures.confidence_picture(outcome.confidence)
        sheet = pictures.draw_sheet(outcome, self._told(identity, made, sha256, facts), facts.remarks)
        drawn = {".png": outcome.image, ".confidence.png": confidence, ".sheet.png": sheet}
        record = self._record(
            id=identity,
            made=made,
            request=asked,
            original=_original("photo", sha256, image.shape),
            mask=_mask_facts(mask),
            frames=(facts,),
            pictures={suffix: pixels_digest(pixels) for suffix, pixels in drawn.items()},
            encoding="PNG",
            warnings=(),
        )
        signed = sign(record.model_dump(mode="json"), self._key)
        text = dumps(signed)
        contents = {suffix: pictures.encode(pixels, text) for suffix, pixels in drawn.items()}
        path = self._publish(given, signed, contents)
        self._done[asked] = path
        return Result(given.path, path, record)

    def clip(self, given: Given) -> Result:
        sha256 = media.clip_sha256(given.path)
        mask = self._mask(given)
        asked = self._asked(sha256, mask)
        if asked in self._done:
            return Result(given.path, self._done[asked], already=True)
        suffix = ".mkv" if self._request.lossless else ".mp4"
        tally = Tally()
        facts: list[FrameFacts] = []
        shape: tuple[int, ...] = ()
        unfinished = self._out / f"{TEMPORARY}{new_id()}{suffix}"
        try:
            with clip_writer(unfinished, self._request.lossless) as writer:
                for outcome in self._chain.run(media.read_clip(given.path, tally, mask)):
                    if shape and outcome.image.shape != shape:
                        raise FaceReconError(f"{given.path}: its frames change their size at frame {len(facts)}")
                    shape = outcome.image.shape
                    writer.write(outcome.image, outcome.frame.time)
                    facts.append(frame_facts(outcome))
            _check_changed(facts, given.path)
            record = self._record(
                id=new_id(),
                made=now(),
                request=asked,
                original=_original("clip", sha256, shape),
                mask=_mask_facts(mask),
                frames=tuple(facts),
                pictures={},
                encoding=LOSSLESS if self._request.lossless else LOSSY,
                warnings=_clip_warnings(tally, facts, shape, self._request.lossless),
            )
            path = self._publish(given, sign(record.model_dump(mode="json"), self._key), {suffix: unfinished})
        except av.FFmpegError as error:
            raise FaceReconError(f"{self._out}: the clip cannot be written ({error.strerror})") from error
        finally:
            unfinished.unlink(missing_ok=True)
        self._done[asked] = path
        return Result(given.path, path, record)

    def _mask(self, given: Given) -> Mask | None:
        path = self._request.mask
        if path is None or not path.is_dir():
            return None if path is None else media.read_mask(path)
        found = sorted(path.glob(f"{escape(str(given.name))}.*"))
        if len(found) != 1:
            what = f"{len(found)} masks" if found else "no mask"
            raise FaceReconError(f"{given.path}: {what} of the name {given.name} in {path}: one is expected")
        return media.read_mask(found[0])

    def _asked(self, sha256: str, mask: Mask | None) -> str:
        request = self._request
        return request_digest(
            sha256,
            None if mask is None else mask.sha256,
            self._stages,
            lossless=request.lossless,
            case=request.case,
            reason=request.reason,
            operator=request.operator,
        )

    def _record(self, **facts: Any) -> Record:
        request, head = self._request, audit_log().head()
        return Record(
            case=request.case,
            reason=request.reason,
            operator=request.operator,
            stages=self._stages,
            model=ModelFacts(name=request.model.name, version=request.model.version, licence=self._licence),
            software=dict(request.software),
            machine=self._machine,
            threads=request.threads,
            log=Head(number=head.number, digest=head.digest),
            **facts,
        )

    def _told(self, identity: str, made: str, sha256: str, facts: FrameFacts) -> dict[str, str]:
        """What stands on the sheet."""
        request = self._request
        filled = [face for face in facts.faces if face.filled]
        network = dict(next(stage.details for stage in self._stages if stage.name == "inpaint"))
        enlarged = ", ".join(f"{face.enlarged:.2f} times" for face in filled)
        sure = ", ".join(f"{face.confidence_mean:.2f}" for face in filled)
        return {
            "Model": f"{request.model.name} {request.model.version}".strip()
            + f" ({network['family']}, {request.model.digest[:16]}…)",
            "Filled from": f"faces of {network['size']} x {network['size']} px; here enlarged {enlarged}",
            "Hidden": f"{facts.hidden:.1%} of the picture",
            "Mean confidence of what was filled": f"{sure} (probability that a pixel is within 16/255 of the truth, "
            f"measured on faces of {network['size']} px)",
            "Case": request.case,
            "Reason": request.reason,
            "Operator": request.operator,
            "Made": f"{made}, record {identity}, key {self._key.public}",
            "Original": f"SHA-256 {sha256}",
        }

    def _publish(self, given: Given, signed: dict[str, Any], contents: Mapping[str, bytes | Path]) -> Path:
        """Write the files of a result, its record last, under a name that nothing has; the path of the first."""
        digests = {
            suffix: sha256_file(content) if isinstance(content, Path) else sha256_bytes(content)
            for suffix, content in contents.items()
        }
        with _one_at_a_time():
            stem = _free_stem(self._out / given.name, (*contents, ".json"))
            files = {f"{stem.name}{suffix}": digest for suffix, digest in digests.items()}
            sidecar = dumps(sign({"record": signed, "files": files}, self._key))
            audit_log().append(
                "reconstruction",
                id=signed["document"]["id"],
                record=sha256_bytes(dumps(signed).encode()),
                model=self._request.model.digest,
            )
            for suffix, content in contents.items():
                path = _with(stem, suffix)
                if isinstance(content, Path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _sync(content)
                    content.replace(path)
                else:
                    with atomic_path(path) as temporary:
                        temporary.write_bytes(content)
            write_text(_with(stem, ".json"), sidecar)
        return _with(stem, next(iter(contents)))


def _original(kind: Literal["photo", "clip"], sha256: str, shape: tuple[int, ...]) -> OriginalFacts:
    return OriginalFacts(kind=kind, sha256=sha256, width=shape[1], height=shape[0])


def _mask_facts(mask: Mask | None) -> MaskFacts | None:
    return None if mask is None else MaskFacts(sha256=mask.sha256, pixels_sha256=pixels_digest(mask.hidden))


def _check_changed(frames: list[FrameFacts], path: Path) -> None:
    """See that something was filled in one of the frames; else the first frame's remarks say why not."""
    if any(face.filled for frame in frames for face in frame.faces):
        return
    remarks = "; ".join(dict.fromkeys(remark for frame in frames for remark in frame.remarks)) or "nothing was hidden"
    no_face = not any(frame.faces for frame in frames)
    remedy = "point a face out by --points" if no_face else "give another mask or region, or take other faces by --face"
    raise FaceReconError(f"{path}: nothing was filled: {remarks}: {remedy}")


def _clip_warnings(tally: Tally, facts: list[FrameFacts], shape: tuple[int, ...], lossless: bool) -> tuple[str, ...]:
    idle = sum(not any(face.filled for face in frame.faces) for frame in facts)
    said = ["sound, if there was any, is left out"]
    if idle:
        said.append(f"{idle} of {len(facts)} frames are as they were: no face was found in them, or nothing hidden")
    if tally.broken:
        said.append(f"{tally.broken} frames could not be decoded and are missing")
    if tally.passed_over:
        said.append(f"{tally.passed_over} frames were passed over: their time stamps repeat or go back")
    if tally.streams > 1:
        said.append(f"of {tally.streams} video streams the largest was taken")
    if not lossless:
        said.append("the encoding changes pixels: what was not hidden is only nearly what it was (--lossless keeps it)")
        if shape[0] % 2 or shape[1] % 2:
            said.append("the last row or column is doubled: the encoding takes even sides only")
    return tuple(said)


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
            found[str(asked)] = path.parent / min(names, key=len)
    return found


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


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
