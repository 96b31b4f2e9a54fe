"""Using a model: what is asked for, and what comes out of a photo or a clip, with its signed record."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import av
from numpy.typing import NDArray

import facerecon.inference.stages  # noqa: F401  # registers them
from facerecon.custody.audit import Head as LogHead
from facerecon.custody.audit import audit_log
from facerecon.custody.keys import signing_key
from facerecon.custody.signed import dumps, sign
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.clips import LOSSLESS, LOSSY, clip_writer
from facerecon.inference.frames import HIDDEN, Frame, Image
from facerecon.inference.media import Mask
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
)
from facerecon.inference.stage import Runtime, Stage, StageRecord, make_stage
from facerecon.marks import BOTH, RECONSTRUCTED, RESTORED, Words

Steps = tuple[tuple[str, Mapping[str, Any]], ...]
"""Names of stages with their settings."""

PHOTO, CONFIDENCE, SHEET = ".png", ".confidence.png", ".sheet.png"
"""How the names of a photo's pictures end."""


@dataclass(frozen=True)
class Model:
    """The network to use: the bytes of its ONNX file, and what to call it in the record."""

    content: bytes = field(repr=False)
    name: str
    version: str = ""
    digest: str = field(init=False)
    """The SHA-256 of the file."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha256_bytes(self.content))

    def __str__(self) -> str:
        return f"{self.name}/{self.version}" if self.version else self.name


@dataclass(frozen=True)
class Wanted(ABC):
    """What is asked for, whatever the model is used for.

    ``faces`` are those to take (see ``DetectSettings``), ``points`` one pointed out by hand. ``case``, ``reason`` and
    ``operator`` are what the record says of them. ``software`` is what is known of this program.
    """

    model: Model
    faces: Literal["largest", "all"] | int = "largest"
    points: tuple[tuple[float, float], ...] | None = None
    lossless: bool = False
    case: str = ""
    reason: str = ""
    operator: str = ""
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def words(self) -> Words:
        """How the results are spoken of."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The models in the order of their stages; ``model`` is the first."""
        return (self.model,)

    @property
    def clips(self) -> str:
        """How the name of what comes out of a clip ends."""
        return ".mkv" if self.lossless else ".mp4"

    def maker(self, chain: Chain, threads: int) -> "Maker":
        """What makes the results with an open chain of ``steps``."""
        return Maker(self, chain, threads)

    @abstractmethod
    def steps(self) -> Steps:
        """The stages and their settings."""

    @abstractmethod
    def told(self, facts: FrameFacts, networks: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """What is to be said of a photo's result by name; ``networks`` are the details of the networks' stages."""

    def given(self) -> frozenset[str]:
        """What the frames bring, by its key.

        Raises:
            FaceReconError: what is asked for is impossible, whatever the picture.
        """
        return frozenset()

    @property
    def _detect(self) -> tuple[str, Mapping[str, Any]]:
        return "detect", {"faces": self.faces} | ({"points": self.points} if self.points else {})


@dataclass(frozen=True)
class Request(Wanted):
    """What is asked for of a reconstruction: ``regions`` are those to hide by name; ``masked`` says that a mask comes
    with each photo or clip. With a ``restorer`` each face is restored by that model after it was filled."""

    regions: tuple[str, ...] = ()
    dilation: float | None = None
    masked: bool = False
    restorer: Model | None = None

    @property
    def words(self) -> Words:
        """As ``Wanted`` says."""
        return RECONSTRUCTED if self.restorer is None else BOTH

    @property
    def models(self) -> tuple[Model, ...]:
        """As ``Wanted`` says."""
        return (self.model,) if self.restorer is None else (self.model, self.restorer)

    def steps(self) -> Steps:
        """As ``Wanted`` says; the networks' stages are the last."""
        hide = {"regions": self.regions} | ({} if self.dilation is None else {"dilation": self.dilation})
        named = (("hide", hide),) if self.regions else ()
        restored = () if self.restorer is None else (("restore", {"model": self.restorer.digest}),)
        return (self._detect, *named, ("inpaint", {"model": self.model.digest}), *restored)

    def told(self, facts: FrameFacts, networks: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """As ``Wanted`` says."""
        said = {"Filled from": _from(facts, networks[0])}
        if self.restorer is not None:
            said = {"Filled from": faces_of(networks[0]), "Then restored from": _from(facts, networks[1])}
        return {**said, "Hidden": f"{facts.hidden:.1%} of the picture"}

    def given(self) -> frozenset[str]:
        """As ``Wanted`` says."""
        if not self.regions and not self.masked:
            raise FaceReconError("nothing is to be hidden: give a mask, or name a region")
        return frozenset({HIDDEN} if self.masked else ())


@dataclass(frozen=True)
class RestorationRequest(Wanted):
    """What is asked for of a restoration: the result is ``upscale`` times as high and as wide as the photo or clip."""

    upscale: int = 1

    @property
    def words(self) -> Words:
        """As ``Wanted`` says."""
        return RESTORED

    def steps(self) -> Steps:
        """As ``Wanted`` says."""
        enlarge = () if self.upscale == 1 else (("enlarge", {"factor": self.upscale}),)
        return (self._detect, *enlarge, ("restore", {"model": self.model.digest}))

    def told(self, facts: FrameFacts, networks: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """As ``Wanted`` says."""
        (network,) = networks
        said = {"Restored from": _from(facts, network)}
        if (scale := network.get("scale")) is not None:
            said["Network"] = f"draws faces {scale} times as large as it sees them"
        if self.upscale != 1:
            said["Enlarged"] = f"the whole picture {self.upscale} times: bicubically, but for the faces"
        return said


def _from(facts: FrameFacts, network: Mapping[str, str]) -> str:
    """From pixels of what size the faces of a frame were made."""
    factors = ", ".join(f"{face.enlarged:.2f} times" for face in facts.faces if face.filled)
    return f"{faces_of(network)}; what the network drew is here enlarged {factors}"


def faces_of(network: Mapping[str, str]) -> str:
    """What a network sees, by the details of its stage."""
    return f"faces of {network['size']} x {network['size']} px"


@dataclass(frozen=True)
class Made:
    """A result: its record, the same signed, and the bytes of its pictures by the end of their names.

    ``texts`` are further files by the end of their names, written from what all names begin with; ``beside`` are those
    that lie beside a clip already.
    """

    record: Record
    signed: dict[str, Any]
    pictures: dict[str, bytes] = field(repr=False)
    words: Words
    texts: Mapping[str, Callable[[str], bytes]] = field(default_factory=dict, repr=False)
    beside: Mapping[str, Path] = field(default_factory=dict)

    def log(self) -> LogHead:
        """Tell the audit log, before anybody sees it."""
        facts = {"id": self.record.id, "record": sha256_bytes(dumps(self.signed).encode())}
        models = [stage.digests["model"] for stage in networks_of(self.record.stages)]
        return audit_log().append(self.words.result, **facts, **dict(zip(("model", "restorer"), models, strict=False)))


def stages_of(steps: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Stage]:
    """The stages, made of their names and settings.

    Raises:
        FaceReconError: one is not known, or its settings are not such.
    """
    return [make_stage(name, parameters) for name, parameters in steps]


@contextmanager
def maker(request: Wanted, runtime: Runtime) -> Iterator["Maker"]:
    """A maker whose chain is open; ``runtime`` must have the models.

    Raises:
        FaceReconError: what is asked for is impossible, whatever the picture.
    """
    with Chain(stages_of(request.steps()), runtime, request.given()) as chain:
        yield request.maker(chain, runtime.threads)


class Maker:
    """One request's open chain: makes a result of each photo or clip that it is given."""

    def __init__(self, request: Wanted, chain: Chain, threads: int) -> None:
        self._request, self._chain, self._threads = request, chain, threads
        self._key, self._stages = signing_key(), chain.describe()

    def asked(self, sha256: str, mask: Mask | None) -> str:
        """The digest of what is asked for of an original of this SHA-256: equal ones need not be made twice."""
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

    def photo(self, image: Image, sha256: str, mask: Mask | None, name: str) -> Made:
        """What comes out of a photo uint8 [H, W, 3] whose file has this SHA-256; errors begin with ``name``.

        Raises:
            FaceReconError: nothing can be changed, or the mask is of another size.
        """
        if mask:
            media.check_size(mask, image.shape[:2], name)
        (outcome,) = self._chain.run([Frame(image, hidden=mask.hidden if mask else None)])
        facts = frame_facts(outcome)
        check_changed([facts], name, self._request.words)
        drawn = {PHOTO: outcome.image, CONFIDENCE: pictures.confidence_picture(outcome.confidence)}
        identity, made = new_id(), now()
        drawn[SHEET] = self._sheet(outcome, facts, identity, made, sha256)
        return self._of_photo(image, facts, sha256, mask, drawn, id=identity, made=made)

    def _of_photo(
        self,
        image: Image,
        facts: FrameFacts,
        sha256: str,
        mask: Mask | None,
        drawn: Mapping[str, NDArray[Any]],
        **known: Any,
    ) -> Made:
        """The result of a photo of which ``facts`` tell: the pictures ``drawn`` by the end of their names, with the
        record, of which ``id`` and ``made`` are ``known``."""
        record = self._record(
            request=self.asked(sha256, mask),
            original=OriginalFacts(kind="photo", sha256=sha256, width=image.shape[1], height=image.shape[0]),
            mask=_mask_facts(mask),
            frames=(facts,),
            pictures={suffix: pixels_digest(pixels) for suffix, pixels in drawn.items()},
            encoding="PNG",
            warnings=(),
            **known,
        )
        signed = self._sign(record.model_dump(mode="json"))
        text = dumps(signed)
        encoded = {suffix: pictures.encode(pixels, text) for suffix, pixels in drawn.items()}
        return Made(record, signed, encoded, self._request.words)

    def clip(
        self, path: Path, sha256: str, mask: Mask | None, target: Path, told: Callable[[int], None] | None = None
    ) -> Made:
        """What comes out of a clip, written to ``target``; ``told`` is called after each frame with how
        many are done, and may raise to stop.

        Raises:
            FaceReconError: it cannot be read or written, nothing can be changed, or its frames change their size.
        """
        return self._clip(path, sha256, mask, target, told, lambda outcome: outcome)

    def _clip(
        self,
        path: Path,
        sha256: str,
        mask: Mask | None,
        target: Path,
        told: Callable[[int], None] | None,
        shown: Callable[[Outcome], Outcome],
    ) -> Made:
        """As ``clip`` says; what is written of each frame is what ``shown`` makes of its outcome."""
        tally = Tally()
        facts: list[FrameFacts] = []
        size = (0, 0)
        shape: tuple[int, ...] = ()
        try:
            with clip_writer(target, self._request.lossless, self._request.words) as writer:
                for outcome in map(shown, self._chain.run(media.read_clip(path, tally, mask))):
                    if shape and outcome.image.shape != shape:
                        raise FaceReconError(
                            f"{path}: its frames change their size at frame {len(facts)}: cut it there"
                        )
                    shape, size = outcome.image.shape, outcome.frame.size
                    writer.write(outcome.image, outcome.frame.time)
                    facts.append(frame_facts(outcome))
                    if told is not None:
                        told(len(facts))
        except av.FFmpegError as error:
            raise FaceReconError(f"{target}: the clip cannot be written ({error.strerror})") from error
        check_changed(facts, str(path), self._request.words)
        record = self._record(
            id=new_id(),
            made=now(),
            request=self.asked(sha256, mask),
            original=OriginalFacts(kind="clip", sha256=sha256, width=size[1], height=size[0]),
            mask=_mask_facts(mask),
            frames=tuple(facts),
            pictures={},
            encoding=LOSSLESS if self._request.lossless else LOSSY,
            warnings=_clip_warnings(tally, facts, shape, self._request),
        )
        return Made(record, self._sign(record.model_dump(mode="json")), {}, self._request.words)

    def sidecar(self, made: Made, files: Mapping[str, str]) -> str:
        """What is written beside a result: its signed record and the SHA-256 of its ``files`` by name, signed again.

        It is one line, and not to be changed by a space.
        """
        return dumps(self._sign({"record": made.signed, "files": dict(files)}))

    def _sign(self, document: dict[str, Any]) -> dict[str, Any]:
        return sign(document, self._key)

    def _record(self, **facts: Any) -> Record:
        request, head = self._request, audit_log().head()
        model, *restorer = (
            ModelFacts(name=model.name, version=model.version, licence=stage.details["licence"])
            for model, stage in zip(request.models, networks_of(self._stages), strict=True)
        )
        return Record(
            statement=request.words.statement,
            case=request.case,
            reason=request.reason,
            operator=request.operator,
            stages=self._stages,
            model=model,
            restorer=restorer[0] if restorer else None,
            software=dict(request.software),
            machine=machine_facts(),
            threads=self._threads,
            log=Head(number=head.number, digest=head.digest),
            **facts,
        )

    def _sheet(self, outcome: Outcome, facts: FrameFacts, identity: str, made: str, sha256: str) -> Image:
        request, networks = self._request, [stage.details for stage in networks_of(self._stages)]
        models = (
            f"{model} ({network['family']}, SHA-256 {model.digest[:16]}…)"
            for model, network in zip(request.models, networks, strict=True)
        )
        changed, size = [face for face in facts.faces if face.filled], networks[-1]["size"]
        lines = {
            "Model": "; then ".join(models),
            **request.told(facts, networks),
            f"Mean confidence of what was {request.words.changed}": ", ".join(
                f"{face.confidence_mean:.2f}" for face in changed
            )
            + f" (probability that a pixel is within 16/255 of the truth, measured on faces of {size} px)",
            "Case": request.case,
            "Reason": request.reason,
            "Operator": request.operator,
            "Made": f"{made}, record {identity}, key {self._key.public}",
            "Original": f"SHA-256 {sha256}",
        }
        return pictures.draw_sheet(outcome, lines, facts.remarks, request.words)


def networks_of(stages: Iterable[StageRecord]) -> list[StageRecord]:
    """The stages that have a model."""
    return [stage for stage in stages if "model" in stage.digests]


def _mask_facts(mask: Mask | None) -> MaskFacts | None:
    return None if mask is None else MaskFacts(sha256=mask.sha256, pixels_sha256=pixels_digest(mask.hidden))


def check_changed(frames: list[FrameFacts], name: str, words: Words) -> None:
    """See that something came of one of the frames; else their remarks say why not."""
    if any(face.done for frame in frames for face in frame.faces):
        return
    remarks = "; ".join(dict.fromkeys(remark for frame in frames for remark in frame.remarks)) or "nothing was hidden"
    found = any(frame.faces for frame in frames)
    remedy = "give another mask or region, or take other faces" if found else "point a face out by five points"
    raise FaceReconError(f"{name}: nothing was {words.changed}: {remarks}: {remedy}")


def _clip_warnings(tally: Tally, facts: list[FrameFacts], shape: tuple[int, ...], request: Wanted) -> tuple[str, ...]:
    idle = sum(not any(face.done for face in frame.faces) for frame in facts)
    said = ["sound, if there was any, is left out"]
    if idle:
        said.append(
            f"{idle} of {len(facts)} frames are as they were: nothing to be {request.words.changed} was found in them"
        )
    if tally.broken:
        said.append(f"{tally.broken} frames could not be decoded and are missing")
    if tally.passed_over:
        said.append(f"{tally.passed_over} frames were passed over: their time stamps repeat or go back")
    if tally.streams > 1:
        said.append(f"of {tally.streams} video streams the largest was taken")
    if not request.lossless:
        kept = f"{request.words.rest} is only nearly what it was (--lossless keeps it)"
        said.append(f"the encoding changes pixels: {kept}")
        if shape[0] % 2 or shape[1] % 2:
            said.append("the last row or column is doubled: the encoding takes even sides only")
    return tuple(said)
