"""The record of a result: what was done to which picture, by what, and what the result does not show."""

import platform
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import INPAINTING
from facerecon.files import arrays_digest, digest_of, sha256_bytes
from facerecon.inference.chain import Outcome
from facerecon.inference.frames import BOX, DEPTH, FIVE, FOUND_BY, POINTS3D, POINTS_CONFIDENCE, SQUARE, Face, Frame
from facerecon.inference.stage import StageRecord
from facerecon.machine import cpu_model
from facerecon.settings import Settings

Numbers = tuple[float, ...]


class FaceFacts(Settings):
    """A face that was taken. ``square`` is where it was cut out: its corner, and the whole upper edge, in pixels.

    ``filled`` counts the pixels of the result that are the network's; ``enlarged`` is how many of them one of the
    network's became, along a side; ``hidden`` the share of the network's picture that was a hole. These and the
    confidences, which are of what is not the photograph's own, are null where nothing of the face was changed. Of a
    face that was filled and then restored ``hidden`` is of the first network, all else of the last. Of a face that was
    measured ``measured`` is the digest of what was found, and the confidences are of its points.
    """

    number: int
    found_by: str
    box: Numbers
    five: tuple[Numbers, ...]
    square: tuple[Numbers, Numbers]
    filled: int
    enlarged: float | None = None
    hidden: float | None = None
    confidence_mean: float | None = None
    confidence_least: float | None = None
    measured: str | None = None

    @property
    def done(self) -> bool:
        """Whether anything came of it: pixels, or points."""
        return self.filled > 0 or self.measured is not None


class FrameFacts(Settings):
    """A frame: digests of its pixels before and after, the share that was hidden, its faces, and warnings."""

    number: int
    time: float
    original: str
    result: str
    hidden: float
    faces: tuple[FaceFacts, ...]
    remarks: tuple[str, ...]


class OriginalFacts(Settings):
    """What was given: SHA-256 of its bytes; nothing of its name or metadata."""

    kind: Literal["photo", "clip"]
    sha256: str
    width: int
    height: int


class MaskFacts(Settings):
    """The mask that was given: SHA-256 of the file's bytes and of its pixels as bool [H, W]."""

    sha256: str
    pixels_sha256: str


class ModelFacts(Settings):
    """The registered version, or the file, that a network came from; ``licence`` is that of its training data."""

    name: str
    version: str
    licence: str


class Head(Settings):
    """The audit log's last line before this: its number and its SHA-256."""

    number: int
    digest: str


class Record(Settings):
    """All of it. Pixel digests are ``pixels_digest``; ``pictures`` are those of the files that belong to a photo.

    ``restorer`` is the model that has restored what ``model`` had filled, null without one.
    """

    schema_version: Literal[1] = 1
    id: str
    statement: str
    made: str
    request: str
    case: str
    reason: str
    operator: str
    original: OriginalFacts
    mask: MaskFacts | None
    frames: tuple[FrameFacts, ...]
    pictures: dict[str, str]
    encoding: str
    stages: tuple[StageRecord, ...]
    model: ModelFacts
    restorer: ModelFacts | None = None
    software: dict[str, str]
    machine: dict[str, str]
    threads: int
    warnings: tuple[str, ...]
    log: Head


def new_id() -> str:
    """An id that no other record has."""
    return uuid.uuid4().hex


def now() -> str:
    """The time in UTC, as records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def pixels_digest(pixels: NDArray[Any]) -> str:
    """The SHA-256 of an array's type, shape and values, row by row: "uint8 480x640x3", a line feed, the bytes."""
    head = f"{pixels.dtype} {'x'.join(map(str, pixels.shape))}\n".encode()
    return sha256_bytes(head + np.ascontiguousarray(pixels).tobytes())


def request_digest(original: str, mask: str | None, stages: Iterable[StageRecord], **more: Any) -> str:
    """What was asked for: equal requests need not be done twice."""
    listed = [stage.model_dump(mode="json", exclude={"details"}) for stage in stages]
    return digest_of({"original": original, "mask": mask, "stages": listed, **more})


def frame_facts(outcome: Outcome) -> FrameFacts:
    """What happened to one frame."""
    frame = outcome.frame
    return FrameFacts(
        number=frame.number,
        time=round(frame.time, 6),
        original=pixels_digest(frame.image),
        result=pixels_digest(outcome.image),
        hidden=0.0 if frame.hidden is None else round(float(frame.hidden.mean()), 6),
        faces=tuple(_face_facts(frame, face) for face in frame.faces),
        remarks=frame.remarks,
    )


def _face_facts(frame: Frame, face: Face) -> FaceFacts:
    square, edits = face[SQUARE], [edit for edit in frame.edits if edit.face == face.number]
    facts = FaceFacts(
        number=face.number,
        found_by=face[FOUND_BY],
        box=_numbers(face[BOX]),
        five=tuple(_numbers(point) for point in face[FIVE]),
        square=(_numbers(square.origin), _numbers(square.right)),
        filled=0,
    )
    if POINTS3D in face:
        confidence, depth = face[POINTS_CONFIDENCE], face[DEPTH]
        found = {"points": face[POINTS3D], "confidence": confidence, "depth": depth.values}
        found |= {"origin": depth.square.origin, "right": depth.square.right}
        mean, least = (round(float(value), 4) for value in (confidence.mean(), confidence.min()))
        return facts.model_copy(
            update={"confidence_mean": mean, "confidence_least": least, "measured": arrays_digest(found)}
        )
    if not edits:
        return facts
    edit, holes = edits[-1], [each.known == 0 for each in edits if each.kind == INPAINTING.task]
    made = edit.known == 0
    return facts.model_copy(
        update={
            "filled": int((edit.alpha > 0).sum()),
            "enlarged": round(square.side * frame.scale / len(edit.pixels), 3),
            "hidden": round(float(holes[0].mean()), 4) if holes else 0.0,
            "confidence_mean": round(float(edit.confidence[made].mean()), 4),
            "confidence_least": round(float(edit.confidence[made].min()), 4),
        }
    )


def _numbers(values: NDArray[Any]) -> Numbers:
    return tuple(round(float(value), 3) for value in values)


@lru_cache(maxsize=1)
def machine_facts() -> dict[str, str]:
    """What computed: processor, system, Python, and the libraries on which pixels depend."""
    libraries = {name: version(name) for name in ("onnxruntime", "numpy", "opencv-contrib-python", "mediapipe", "av")}
    return {"cpu": cpu_model(), "system": platform.platform(), "python": platform.python_version(), **libraries}
