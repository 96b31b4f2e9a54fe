"""Verifying a result: is it untouched, who signed it, and does it come out again?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import facerecon.inference.stages  # noqa: F401  # registers them
from facerecon.custody import audit
from facerecon.custody.keys import PublicKey, known_keys
from facerecon.custody.signed import check, dumps, loads
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.clips import LOSSLESS
from facerecon.inference.frames import HIDDEN, Frame, Image
from facerecon.inference.media import Mask
from facerecon.inference.record import Record, pixels_digest
from facerecon.inference.stage import Runtime, make_stage

Mark = Literal["ok", "note", "bad"]

UNTOUCHED, WRONG, NOT_RUN_AGAIN = 0, 1, 2
"""Exit statuses: all is as it was made; something is not; nothing is wrong as far as was looked."""

MOST_LEVELS = 1
"""By so many of 255 levels a pixel may differ that another processor has computed."""

_SUFFIXES = (".confidence.png", ".sheet.png", ".png", ".mp4", ".mkv", ".json")


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
    suffix = next((each for each in _SUFFIXES if path.name.endswith(each)), "")
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    side = loads(media.read_content(beside).decode("utf-8", "replace")) if suffix and beside.is_file() else None
    if side is not None:
        check(side)
        if not {"record", "files"} <= side["document"].keys():
            raise FaceReconError(f"{beside}: no record of a result")
    if suffix.endswith(".png"):
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
        outcomes = _outcomes(given.original, mask, record, given.find_models(record), found)
    except FaceReconError as error:
        found.say(None, f"not run again: {error.message}")
        return False
    _compare(found, outcomes, given.path, record)
    return True


def _outcomes(
    original: Path, mask: Mask | None, record: Record, models: Sequence[bytes], found: _Findings
) -> list[tuple[str, Image | None]]:
    """Of each frame, run again, the digest of its pixels; of a photo the pixels, too."""
    runtime = Runtime(record.threads, {sha256_bytes(model): model for model in models})
    stages = [make_stage(stage.name, stage.parameters) for stage in record.stages]
    with runtime, Chain(stages, runtime, frozenset({HIDDEN} if mask else ())) as chain:
        for then, now in zip(record.stages, chain.describe(), strict=True):
            if then.version != now.version or then.digests != now.digests:
                what = "version" if then.version != now.version else "weights"
                found.say(None, f"stage {then.name} has other {what} here: the result may differ")
        if record.original.kind == "clip":
            ran = chain.run(media.read_clip(original, Tally(), mask))
            return [(pixels_digest(outcome.image), None) for outcome in ran]
        image, _ = media.read_photo(original)
        outcome: Outcome
        (outcome,) = chain.run([Frame(image, hidden=mask.hidden if mask else None)])
        return [(pixels_digest(outcome.image), outcome.image)]


def _compare(found: _Findings, outcomes: list[tuple[str, Image | None]], path: Path, record: Record) -> None:
    """Say whether the same pixels came out again."""
    others = [
        index
        for index, frame in enumerate(record.frames)
        if outcomes[index : index + 1] and outcomes[index][0] != frame.result
    ]
    if len(outcomes) != len(record.frames):
        found.say(False, f"run again: {len(outcomes)} frames came out, the record has {len(record.frames)}")
        return
    if not others:
        found.say(True, "run again: the same pixels")
        return
    if record.original.kind == "clip":
        kept = "" if record.encoding == LOSSLESS else ", of which this encoding kept no exact pixels"
        found.say(False, f"run again: {len(others)} of {len(outcomes)} frames come out otherwise{kept}")
        return
    kept_pixels = _kept_pixels(path, record)
    now = outcomes[0][1]
    if kept_pixels is None or now is None or kept_pixels.shape != now.shape:
        found.say(False, "run again: other pixels come out")
        return
    apart = np.abs(kept_pixels.astype(int) - now.astype(int)).max(-1)
    count, most = int((apart > 0).sum()), int(apart.max())
    found.say(most <= MOST_LEVELS, f"run again: {count} pixels differ, by at most {most} of 255 levels")


def _kept_pixels(path: Path, record: Record) -> NDArray[np.uint8] | None:
    """The pixels of the resulting photo itself, if it is there untouched."""
    suffix = next(each for each in _SUFFIXES if path.name.endswith(each))
    photo = path.with_name(path.name.removesuffix(suffix) + ".png")
    if not photo.is_file():
        return None
    pixels, _ = pictures.decode(media.read_content(photo), str(photo))
    return pixels if pixels_digest(pixels) == record.pictures.get(".png") else None
