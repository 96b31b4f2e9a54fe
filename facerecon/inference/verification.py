"""Verifying a result: is it untouched, who signed it, and does it come out again?"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import facerecon.inference.stages  # noqa: F401  # registers them
from facerecon.custody import audit
from facerecon.custody.keys import PublicKey, known_keys
from facerecon.custody.signed import check, dumps, loads
from facerecon.data.footage.decode import Tally
from facerecon.data.geometry import box_of
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.clips import LOSSLESS
from facerecon.inference.frames import DEPTH, HIDDEN, POINTS3D, Frame
from facerecon.inference.measuring import VALUES
from facerecon.inference.media import Mask
from facerecon.inference.overlay import drawn_over
from facerecon.inference.record import FrameFacts, Record, frame_facts, pixels_digest
from facerecon.inference.stage import Runtime, make_stage
from facerecon.inference.stages.landmarks import Landmarks

Mark = Literal["ok", "note", "bad"]

UNTOUCHED, WRONG, NOT_RUN_AGAIN = 0, 1, 2
"""Exit statuses: all is as it was made; something is not; nothing is wrong as far as was looked."""

MOST_LEVELS = 1
"""By so many of 255 levels a pixel may differ that another processor has computed."""

MOST_OF_BOX = 0.001
"""By such a share of the square root of the area of a face's box points and depth that another processor has computed
may be others."""

_ENDS = tuple(
    re.compile(f"{end}$")
    for end in (
        r"\.(confidence|sheet|landmarks|face\d+\.depth)\.png",
        r"\.landmarks\.(mp4|mkv|json|jsonl)",
        r"\.face\d+\.obj",
        r"\.(png|mp4|mkv|json)",
    )
)
"""How the names of a result's files may end."""


@dataclass(frozen=True, eq=False)
class _Ran:
    """A frame that was run again: what its record would say; of a photo the outcome, too."""

    facts: FrameFacts
    outcome: Outcome | None


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its ``mark`` and what is to be said."""

    mark: Mark
    text: str


class _Findings(list[Finding]):
    def say(self, good: bool | None, text: str) -> None:
        """Note what is good, bad, or neither."""
        self.append(Finding("note" if good is None else "ok" if good else "bad", text))


@dataclass(frozen=True)
class Verdict:
    """All that was found, and the exit status: see ``UNTOUCHED``."""

    findings: tuple[Finding, ...]
    status: int


@dataclass(frozen=True)
class Given:
    """What is verified, and what was given beside: the original, the mask, a key to trust, and a function that finds
    the models of a record."""

    path: Path
    original: Path | None
    mask: Path | None
    trusted: PublicKey | None
    find_models: Callable[[Record], Sequence[bytes]]


def verify(given: Given) -> Verdict:
    """Look at a picture, a clip or a record that this project wrote, and run it again if it can be.

    Raises:
        FaceReconError: there is no record, or what was given cannot be read.
    """
    found = _Findings()
    signed, files, side, pixels = _read(given.path)
    document = signed["document"] if isinstance(signed, dict) and isinstance(signed.get("document"), dict) else {}
    try:
        key = check(signed)
        record = Record.model_validate(document)
    except ValidationError as error:
        version = document.get("schema_version")
        raise FaceReconError(
            f"{given.path}: its record (schema {version}) is not one that is read here: use the version that made it"
        ) from error
    _signer(found, key, given.trusted, record, sha256_bytes(dumps(signed).encode()))
    if side is not None:
        _sidecar(found, side, signed, key, files, given.path)
    if pixels is not None:
        _picture(found, given.path, pixels, record)
    ran = _run_again(found, given, record)
    wrong = any(finding.mark == "bad" for finding in found)
    return Verdict(tuple(found), WRONG if wrong else UNTOUCHED if ran else NOT_RUN_AGAIN)


def _read(path: Path) -> tuple[Any, dict[str, str], Any, NDArray[np.uint8] | None]:
    """The signed record of a file, the digests in the signed sidecar beside it, and that sidecar, None if there is
    none; a picture's pixels."""
    pixels = None
    beside = _sidecar_of(path)
    side = loads(media.read_content(beside).decode("utf-8", "replace")) if beside.is_file() else None
    if side is not None:
        check(side)
        if not {"record", "files"} <= side["document"].keys():
            raise FaceReconError(f"{beside}: no record of a result")
    if path.suffix == ".png":
        pixels, text = pictures.decode(media.read_content(path), str(path))
        if not text:
            raise FaceReconError(f"{path}: holds no record: it was not made here, or was saved anew by another program")
        signed = loads(text)
    elif side is None:
        raise FaceReconError(
            f"{path}: no record beside it ({beside.name}): give both, or a picture, which holds its own"
        )
    else:
        signed = side["document"]["record"]
    return signed, {} if side is None else side["document"]["files"], side, pixels


def _sidecar_of(path: Path) -> Path:
    """Where the signed record beside a file of a result lies, if it is there."""
    stems = [path.name[: match.start()] for end in _ENDS if (match := end.search(path.name))]
    places = [path.with_name(f"{stem}.json") for stem in stems] or [path.with_name(f"{path.name}.json")]
    there = [place for place in places if place.is_file()]
    # the results of x.jpg and of x.landmarks.jpg have names that could belong to either
    naming = (place for place in there if place == path or path.name in _files_of(place))
    return next(naming, next(iter(there), places[0]))


def _files_of(side: Path) -> Collection[str]:
    """The names of the files that a signed record lists, as far as it is one; whether it is sound is another matter."""
    try:
        return dict(json.loads(media.read_content(side))["document"]["files"])
    except (ValueError, LookupError, TypeError):
        return ()


def _signer(found: _Findings, key: PublicKey, trusted: PublicKey | None, record: Record, digest: str) -> None:
    standing = known_keys().standing_of(key)
    if trusted is not None and key == trusted:
        found.say(True, f"record {record.id} untouched, signed by {key}, the key that was given")
    elif standing == "unknown":
        found.say(
            False, f"record {record.id} signed by {key}, unknown here: anyone may have made that key (--key names one)"
        )
        return
    else:
        found.say(True, f"record {record.id} untouched, signed by {key}, known ({standing} key of this machine)")
    if standing != "unknown":
        _logged(found, record, digest)


def _logged(found: _Findings, record: Record, digest: str) -> None:
    """Whether this machine's audit log is the one in which the record was made, and has it."""
    log, head = audit.audit_log(), audit.Head(record.log.number, record.log.digest)
    try:
        line = next((entry for entry in log.lines() if entry.facts.get("record") == digest), None)
    except FaceReconError as error:
        found.say(False, error.message)
        return
    if not log.holds(head) or line is None:
        absent = f"line {head.number}, after which it was made" if not log.holds(head) else "its line"
        found.say(False, f"this machine's audit log lacks {absent}: the log was cut off or is another one")
    else:
        found.say(True, f"line {line.head.number} of this machine's audit log, {line.time}")


def _sidecar(
    found: _Findings, side: Mapping[str, Any], signed: Any, key: PublicKey, files: dict[str, str], path: Path
) -> None:
    if check(side) != key or dumps(side["document"]["record"]) != dumps(signed):
        found.say(False, "the record beside the picture is that of another one")
        return
    for name, digest in files.items():
        beside = path.parent / name
        if not beside.is_file():
            found.say(None, f"{name} is not there")
        else:
            same = sha256_file(beside) == digest
            found.say(
                same, f"{name}: " + ("no byte was changed" if same else "its bytes were changed after it was made")
            )


def _picture(found: _Findings, path: Path, pixels: NDArray[np.uint8], record: Record) -> None:
    """Whether a picture's pixels are those of the record, whatever became of the file's bytes."""
    kind = next((kind for kind, digest in record.pictures.items() if digest == pixels_digest(pixels)), None)
    if kind is None:
        found.say(False, f"{path.name}: its pixels are not those that the record was made for")
    else:
        found.say(True, f"{path.name}: no pixel was changed")


def _run_again(found: _Findings, given: Given, record: Record) -> bool:
    """Whether it could be run again; what came of it is told."""
    if given.original is None:
        found.say(None, "not run again: name the original by --original")
        return False
    clip = record.original.kind == "clip"
    sha256 = media.clip_sha256(given.original) if clip else sha256_bytes(media.read_content(given.original))
    if sha256 != record.original.sha256:
        found.say(False, f"{given.original}: not the original that the record names: another file, or changed since")
        return False
    found.say(True, f"{given.original}: the original, no byte was changed")
    if record.mask and given.mask is None:
        found.say(None, "not run again: name the mask by --mask")
        return False
    mask = media.read_mask(given.mask) if given.mask and record.mask else None
    if mask and record.mask and pixels_digest(mask.hidden) != record.mask.pixels_sha256:
        found.say(False, f"{given.mask}: not the mask that the record names")
        return False
    try:
        ran = _outcomes(given.original, mask, record, given.find_models(record), found)
    except FaceReconError as error:
        found.say(None, f"not run again: {error.message}")
        return False
    if _is_measured(record):
        _compare_measured(found, ran, given.path, record)
    else:
        _compare(found, ran, given.path, record)
    return True


def _outcomes(
    original: Path, mask: Mask | None, record: Record, models: Sequence[bytes], found: _Findings
) -> list[_Ran]:
    """The frames, run again."""
    runtime = Runtime(record.threads, {sha256_bytes(model): model for model in models})
    stages = [make_stage(stage.name, stage.parameters) for stage in record.stages]
    with runtime, Chain(stages, runtime, frozenset({HIDDEN} if mask else ())) as chain:
        for then, now in zip(record.stages, chain.describe(), strict=True):
            if then.version != now.version or then.digests != now.digests:
                what = "version" if then.version != now.version else "weights"
                found.say(None, f"stage {then.name} has other {what} here: the result may differ")
        clip = record.original.kind == "clip"
        shown = partial(drawn_over, clip=clip) if _is_measured(record) else _as_it_is
        if clip:
            ran = map(shown, chain.run(media.read_clip(original, Tally(), mask)))
            return [_Ran(frame_facts(outcome), None) for outcome in ran]
        image, _ = media.read_photo(original)
        (outcome,) = map(shown, chain.run([Frame(image, hidden=mask.hidden if mask else None)]))
        return [_Ran(frame_facts(outcome), outcome)]


def _is_measured(record: Record) -> bool:
    return Landmarks.name in (stage.name for stage in record.stages)


def _as_it_is(outcome: Outcome) -> Outcome:
    return outcome


def _is_as_many(found: _Findings, ran: list[_Ran], record: Record) -> bool:
    """Whether as many frames came out again; if not that is said."""
    if len(ran) != len(record.frames):
        found.say(False, f"run again: {len(ran)} frames came out, the record has {len(record.frames)}")
    return len(ran) == len(record.frames)


def _compare(found: _Findings, ran: list[_Ran], path: Path, record: Record) -> None:
    """Say whether the same pixels came out again."""
    if not _is_as_many(found, ran, record):
        return
    others = sum(now.facts.result != then.result for now, then in zip(ran, record.frames, strict=True))
    if not others:
        found.say(True, "run again: the same pixels")
        return
    if ran[0].outcome is None:
        kept = "" if record.encoding == LOSSLESS else ", of which this encoding kept no exact pixels"
        found.say(False, f"run again: {others} of {len(ran)} frames come out otherwise{kept}")
        return
    kept_pixels, now = _kept_pixels(path, record), ran[0].outcome.image
    if kept_pixels is None or kept_pixels.shape != now.shape:
        found.say(False, "run again: other pixels come out")
        return
    apart = np.abs(kept_pixels.astype(int) - now.astype(int)).max(-1)
    count, most = int((apart > 0).sum()), int(apart.max())
    found.say(most <= MOST_LEVELS, f"run again: {count} pixels differ, by at most {most} of 255 levels")


def _compare_measured(found: _Findings, ran: list[_Ran], path: Path, record: Record) -> None:
    """Say whether the same points, depth and overlay came out again."""
    if not _is_as_many(found, ran, record):
        return
    pairs = [(now.facts, then) for now, then in zip(ran, record.frames, strict=True)]
    others = sum(_measured(now) != _measured(then) for now, then in pairs)
    if not others:
        drawn = sum(now.result != then.result for now, then in pairs)
        found.say(not drawn, f"run again: the same points and depth, {'another' if drawn else 'the same'} overlay")
        return
    if ran[0].outcome is None:
        found.say(False, f"run again: in {others} of {len(ran)} frames other points or another depth come out")
        return
    kept, now = _kept_faces(path), _faces(ran[0].outcome.frame)
    if (
        not now
        or kept.keys() != now.keys()
        or any(kept[number].depth.shape != now[number].depth.shape for number in now)
    ):
        found.say(False, "run again: other points or another depth come out")
        return
    sides = {number: max(1.0, box_of(face.points.astype(np.float32))[1]) for number, face in now.items()}
    points = max(float(np.abs(kept[number].points - now[number].points).max()) / sides[number] for number in now)
    depth = max(_apart(kept[number].depth, now[number].depth) / sides[number] for number in now)
    found.say(
        max(points, depth) <= MOST_OF_BOX,
        f"run again: points lie elsewhere, by at most {points:.3%} of the face's box, and depth by {depth:.3%}",
    )


def _measured(frame: FrameFacts) -> list[tuple[int, str | None]]:
    return [(face.number, face.measured) for face in frame.faces]


class _Face(NamedTuple):
    """A face's points [68, 3] and depth [S, S], NaN outside the face, in pixels of the photo."""

    points: NDArray[np.float64]
    depth: NDArray[np.float64]


def _faces(frame: Frame) -> dict[int, _Face]:
    """The faces that were measured, by their numbers."""
    return {
        face.number: _Face(face[POINTS3D].astype(np.float64), face[DEPTH].values.astype(np.float64))
        for face in frame.faces
        if POINTS3D in face
    }


def _kept_faces(path: Path) -> dict[int, _Face]:
    """The same as they were written; {} if they are not there, or are no such."""
    values = _sidecar_of(path).with_suffix(VALUES)
    try:
        told = [face for face in json.loads(values.read_bytes())["faces"] if face["points"]]
        faces = {
            int(face["face"]): _Face(np.array(face["points"]), _kept_depth(values, face["depth"])) for face in told
        }
    except (FaceReconError, OSError, ValueError, KeyError, TypeError):
        return {}
    return {number: face for number, face in faces.items() if face.points.shape == (68, 3)}


def _kept_depth(values: Path, about: Mapping[str, Any]) -> NDArray[np.float64]:
    picture = values.with_name(Path(about["file"]).name)
    counts, _ = pictures.decode(media.read_content(picture), str(picture))
    return np.where(counts == 0, np.nan, about["offset"] + about["scale"] * counts.astype(np.float64))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest difference of two depths where both are known; infinite if nowhere."""
    apart = np.abs(one - other)
    return float(apart[np.isfinite(apart)].max(initial=0.0)) if np.isfinite(apart).any() else float("inf")


def _kept_pixels(path: Path, record: Record) -> NDArray[np.uint8] | None:
    """The pixels of the resulting photo itself, if it is there untouched."""
    photo = _sidecar_of(path).with_suffix(".png")
    if not photo.is_file():
        return None
    pixels, _ = pictures.decode(media.read_content(photo), str(photo))
    return pixels if pixels_digest(pixels) == record.pictures.get(".png") else None
