"""Live video: a clip comes in over a WebSocket, and its frames go out with their points and what is made of them.

The client begins with ``Begin``, sends the clip's bytes, then asks for frames: as many are made as it has asked for and
no more, so that pausing is not to ask, and a step is to ask for one. None is left out: a clip that is made more slowly
than it was taken plays more slowly. What is sent:

- binary, for each frame: four bytes (big endian) with the length of a ``FrameHead``, that as JSON, the frame as JPEG,
  and its reconstruction as JPEG; or a ``RestoredHead`` with the frame and its restoration; or a ``LocatedHead``, which
  has points and depth by the network and by MediaPipe, and the frame; for ``Save``: the same with a ``SavedHead`` and
  one PNG;
- text: ``{"type": "end"}`` after the last frame, ``{"type": "told"}`` with what could not be done, and
  ``{"type": "refused"}`` before the socket is closed. Both have one line, ``detail``.
"""

import asyncio
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar

import cv2
import numpy as np
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from starlette.websockets import WebSocketDisconnect, WebSocketState

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.frames import Frame, Image
from facerecon.inference.making import Model, Request, RestorationRequest, Wanted, stages_of
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.stage import Runtime
from facerecon.marks import MEASURED, RECONSTRUCTED, RESTORED, XMP
from serving.located import LocatedFace, draw_located, located_faces
from serving.photos import FoundFace, found_face
from serving.problems import ProblemError, own_fault
from serving.service import Service

MOST_ASKED = 3
"""So many frames may be asked for and not yet sent; as many are held after they were sent, and one more."""

LONGEST = 1280
"""Pictures that are shown have no longer side; what is saved has the clip's own size."""

_QUALITY = 85
_IDLE_SECONDS = 900.0
_UPLOADS = 10
"""A clip may take so many times as long to come as a photo."""

T = TypeVar("T")

Draw = Callable[[], bytes]
"""Draws a frame that is made, and gives its message."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Shows(_Message):
    id: int = 0
    faces: Literal["largest", "all"] | Annotated[int, Field(ge=1, le=1000)] = "largest"


class Hide(_Shows):
    """From now on hide these regions of these faces; frames made so say ``id``."""

    type: Literal["hide"] = "hide"
    regions: tuple[Annotated[str, Field(max_length=40)], ...] = Field(min_length=1, max_length=20)
    dilation: float | None = Field(None, ge=0, le=1)


class Restore(_Shows):
    """From now on restore these faces; frames made so say ``id``."""

    type: Literal["restore"] = "restore"


class Locate(_Shows):
    """From now on find points and depth of these faces; frames made so say ``id``."""

    type: Literal["locate"] = "locate"


Shows = Hide | Restore | Locate

_TASKS = {"hide": INPAINTING.task, "restore": RESTORATION.task, "locate": LANDMARKS.task}
"""The tasks of the models that show it, by the type of the message."""


class Begin(_Message):
    """The first message; a clip of so many ``bytes`` follows. Inpainting needs ``hide``, restoration takes ``restore``
    and landmarks ``locate``."""

    type: Literal["begin"]
    task: Literal["inpainting", "restoration", "landmarks"] = "inpainting"
    bytes: int = Field(ge=1)
    hide: Hide | None = None
    restore: Restore | None = None
    locate: Locate | None = None

    @model_validator(mode="after")
    def _of_its_task(self) -> "Begin":
        for name, task in _TASKS.items():
            if self.task != task and getattr(self, name) is not None:
                raise ValueError(f"{name}: say task={task}")
        if self.task == INPAINTING.task and self.hide is None:
            raise ValueError("hide: inpainting needs what is to be hidden")
        return self

    @property
    def shows(self) -> Shows:
        """What is to be shown first."""
        plain = Restore() if self.task == RESTORATION.task else Locate()
        return self.hide or self.restore or self.locate or plain


class Want(_Message):
    """Make so many more frames."""

    type: Literal["want"]
    frames: int = Field(1, ge=1, le=MOST_ASKED)


class Again(_Message):
    """Make this frame, one of the last, anew: what is shown of it has been changed."""

    type: Literal["again"]
    number: int


class Save(_Message):
    """Send this frame, one of the last, and what is made of it as one marked picture."""

    type: Literal["save"]
    number: int


Command = Shows | Want | Again | Save
Asked = Want | Again | Save

_BEGIN = TypeAdapter(Begin)
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])


class _Head(BaseModel):
    number: int
    time: float
    width: int
    height: int
    remarks: tuple[str, ...]
    model: str


class FrameHead(_Head):
    """A frame: ``number`` from 0, ``time`` in seconds from the first. Points are in pixels of the clip, ``width`` and
    ``height`` its size. ``hide`` is the id of what was hidden, ``pictures`` are the lengths of the two JPEGs."""

    type: Literal["frame"] = "frame"
    faces: list[FoundFace]
    regions: tuple[str, ...]
    hide: int
    pictures: tuple[int, int]


class RestoredHead(_Head):
    """The same of a frame whose faces are restored; ``restore`` is the id of what was asked for."""

    type: Literal["restored"] = "restored"
    faces: list[FoundFace]
    restore: int
    pictures: tuple[int, int]


class LocatedHead(_Head):
    """The same of a frame with points and depth. ``locate`` is the id of what was asked for, ``pictures`` is the length
    of the frame's JPEG. Depth ends ``reach`` pixels of the clip away from the mean of a face's points, and towards the
    camera."""

    type: Literal["located"] = "located"
    faces: list[LocatedFace]
    locate: int
    reach: float
    pictures: tuple[int]


class SavedHead(BaseModel):
    """A picture to save, and how to call it."""

    type: Literal["saved"] = "saved"
    name: str


class _EndedError(Exception):
    """Ends a stream with this code and one line."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


_GOING, _BAD_DATA, _NOT_SO, _TOO_LARGE, _OWN_FAULT, _LATER = 1001, 1007, 1008, 1009, 1011, 1013
"""Codes of RFC 6455 with which sockets are closed."""


def live_routes(service: Service) -> APIRouter:
    """The route."""
    routes, running = APIRouter(), set[_Stream]()

    @routes.websocket("/v1/live")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            if len(running) >= service.settings.streams:
                raise _EndedError(_LATER, f"no more clips than {len(running)} are shown at once: try again later")
            stream = _Stream(service, websocket)
            running.add(stream)
            try:
                await stream.run()
            finally:
                running.discard(stream)
        except WebSocketDisconnect:
            pass
        except _EndedError as error:
            await _refuse(websocket, error.code, error.detail)
        except ProblemError as error:
            await _refuse(websocket, _LATER, error.detail)
        except FaceReconError as error:
            await _refuse(websocket, _BAD_DATA, error.message)
        except Exception as error:
            await _refuse(websocket, _OWN_FAULT, own_fault(error).detail)

    return routes


class _Stream:
    """One socket: what has been asked for, and what is sent. All of it is the event loop's."""

    def __init__(self, service: Service, websocket: WebSocket) -> None:
        self._service, self._socket = service, websocket
        self._underway: Counter[type[Asked]] = Counter()
        """What was asked for and is not yet sent."""
        self._made: asyncio.Queue[tuple[Asked, Future[Draw | None]]] = asyncio.Queue()

    async def run(self) -> None:
        """Take a clip and show it until the client goes."""
        settings = self._service.settings
        with tempfile.TemporaryFile() as file:
            try:
                async with asyncio.timeout(_UPLOADS * settings.upload_seconds):
                    shows = await self._receive(file)
            except TimeoutError as error:
                said = f"the upload took longer than {_UPLOADS * settings.upload_seconds:g} s"
                raise _EndedError(_NOT_SO, said) from error
            with ThreadPoolExecutor(1, thread_name_prefix="live") as thread:
                player = _Player(self._service, Path(f"/dev/fd/{file.fileno()}"), shows)
                tasks = [asyncio.create_task(each) for each in (self._listen(player, thread), self._play(player))]
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    while not self._made.empty():
                        self._made.get_nowait()[1].cancel()
                    # a frame that is being made cannot be stopped
                    closed = asyncio.wrap_future(thread.submit(player.close))
                    await asyncio.shield(asyncio.gather(*tasks, closed, return_exceptions=True))
            for task in done:
                task.result()

    async def _receive(self, file: BinaryIO) -> Shows:
        begin = _parsed(_BEGIN, await self._text("expected what is to be hidden and the clip's size"))
        most = int(self._service.settings.video_mb * 1e6)
        if begin.bytes > most:
            raise _EndedError(_TOO_LARGE, f"the clip has {begin.bytes / 1e6:.1f} MB, at most {most / 1e6:g} are taken")
        self._check(begin.shows)
        come = 0
        while come < begin.bytes:
            message = await self._message()
            content = message.get("bytes")
            if not content:
                raise _EndedError(_NOT_SO, "text was sent in place of a clip: an address is never fetched")
            come += len(content)
            if come > begin.bytes:
                raise _EndedError(_TOO_LARGE, f"more was sent than the {begin.bytes} bytes that were announced")
            await asyncio.to_thread(file.write, content)
        file.flush()
        return begin.shows

    def _check(self, shows: Shows) -> None:
        """See that what is to be shown is known, and a model for it served."""
        stages_of(_request(self._service.of_task(_TASKS[shows.type]).current.model, shows).steps())

    async def _listen(self, player: "_Player", thread: ThreadPoolExecutor) -> None:
        while True:
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    text = await self._text("expected a command")
            except TimeoutError as error:
                said = f"nothing was asked for in {_IDLE_SECONDS / 60:g} minutes: load the clip again"
                raise _EndedError(_NOT_SO, said) from error
            command = _parsed(_COMMAND, text)
            if isinstance(command, Shows):
                try:
                    self._check(command)
                except (FaceReconError, ProblemError) as error:
                    said = error.message if isinstance(error, FaceReconError) else error.detail
                    await self._socket.send_json({"type": "told", "detail": said})
                    continue
                player.shows = command
                continue
            # the thread goes from one to the next by itself: it does not wait for the loop, nor for what is sent
            for _ in range(command.frames if isinstance(command, Want) else 1):
                self._underway[type(command)] += 1
                if self._underway[type(command)] > MOST_ASKED + (not isinstance(command, Want)):
                    raise _EndedError(_NOT_SO, f"more than {MOST_ASKED} frames were asked for at once")
                work = player.next if isinstance(command, Want) else partial(player.repeat, command)
                self._made.put_nowait((command, thread.submit(work)))

    async def _play(self, player: "_Player") -> None:
        ended = False
        while True:
            command, future = await self._made.get()
            draw = await asyncio.wrap_future(future)
            if self._service.pool.draining:
                raise _EndedError(_GOING, "the service is about to end")
            # the thread is at the next frame meanwhile
            content = None if draw is None else await asyncio.to_thread(draw)
            if content is not None:
                await self._socket.send_bytes(content)
            elif not isinstance(command, Want):
                said = f"frame {command.number + 1} is not held any more"
                await self._socket.send_json({"type": "told", "detail": said})
            elif not ended:
                ended, tally = True, player.tally
                about = {"frames": player.made, "broken": tally.broken, "passed_over": tally.passed_over}
                await self._socket.send_json({"type": "end", **about})
            self._underway[type(command)] -= 1

    async def _text(self, expected: str) -> str:
        text = (await self._message()).get("text")
        if text is None:
            raise _EndedError(_NOT_SO, f"bytes were sent; {expected}")
        return str(text)

    async def _message(self) -> Any:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        # a token that is revoked ends what it has begun
        if self._service.access.holder(self._socket.headers) is None:
            raise _EndedError(_NOT_SO, "the token was revoked, or the session is over")
        return message


class _Player:
    """Makes one clip's frames; of one thread, but for ``shows``, which may be set at any time, and for what it returns:
    that is called one after the other by whoever sends it."""

    def __init__(self, service: Service, path: Path, shows: Shows) -> None:
        self.shows, self.tally, self.made = shows, Tally(), 0
        self._service, self._path = service, path
        self._open = ExitStack()
        self._frames: Iterator[Frame] | None = None
        self._last: deque[Frame] = deque(maxlen=MOST_ASKED + 1)
        self._held: dict[str, tuple[Model, Runtime]] = {}
        """The models and runtimes that this clip is shown with, by task."""
        self._chain: tuple[Shows, Chain] | None = None
        self._chains = ExitStack()
        self._reach = 0.0

    def next(self) -> Draw | None:
        """What draws the next frame; None after the last.

        Raises:
            FaceReconError: the clip cannot be used.
        """
        if self._frames is None:
            self._frames = media.read_clip(self._path, self.tally)
        try:
            frame = next(self._frames, None)
        except FaceReconError as error:
            raise FaceReconError(f"clip: {error.message.removeprefix(f'{self._path}: ')}") from error
        if frame is None:
            return None
        height, width = frame.size
        if height * width > self._service.settings.most_pixels:
            most = self._service.settings.megapixels
            raise FaceReconError(f"clip: frames of {width} x {height}; at most {most:g} megapixels are taken")
        self.made += 1
        self._last.append(frame)
        return partial(self._shown, *self._made(frame))

    def repeat(self, asked: Again | Save) -> Draw | None:
        """What draws one of the last frames again; None if it is held no more."""
        frame = next((frame for frame in self._last if frame.number == asked.number), None)
        if frame is None:
            return None
        return partial(self._shown if isinstance(asked, Again) else self._saved, *self._made(frame))

    def close(self) -> None:
        """Let go of networks and clip."""
        self._chains.close()
        self._open.close()
        if self._frames is not None:
            self._frames.close()  # type: ignore[attr-defined]

    def _shown(self, outcome: Outcome, model: Model, shows: Shows) -> bytes:
        made, (height, width) = outcome.frame, outcome.frame.size
        about: dict[str, Any] = {
            "number": made.number,
            "time": made.time,
            "width": width,
            "height": height,
            "remarks": made.remarks,
            "model": str(model),
        }
        if isinstance(shows, Locate):
            faces, self._reach = located_faces(made, self._reach)
            picture = _jpeg(made.image)
            about |= {"faces": faces, "locate": shows.id, "reach": self._reach}
            return _packed(LocatedHead(**about, pictures=(len(picture),)), picture)
        shown = [_jpeg(made.image), _marked(_jpeg(outcome.image))]
        about |= {"faces": list(map(found_face, made.faces)), "pictures": tuple(map(len, shown))}
        if isinstance(shows, Restore):
            return _packed(RestoredHead(**about, restore=shows.id), *shown)
        return _packed(FrameHead(**about, hide=shows.id, regions=shows.regions), *shown)

    def _saved(self, outcome: Outcome, model: Model, shows: Shows) -> bytes:
        frame = outcome.frame
        lines = {"Frame": f"{frame.number + 1}, at {frame.time:.3f} s", "Model": str(model)}
        if isinstance(shows, Locate):
            words, panels = MEASURED, draw_located(frame, str(model), self._reach)
            if end := self._reach:
                lines["Depth"] = f"from {end:g} px away (dark) to {end:g} px towards the camera (bright)"
        else:
            words = RESTORED if isinstance(shows, Restore) else RECONSTRUCTED
            panels = {"Original": frame.image, words.done.upper(): outcome.image}
            if isinstance(shows, Hide):
                lines["Hidden"] = ", ".join(shows.regions)
        picture = pictures.draw_pairs(panels, lines, frame.remarks, words)
        head = SavedHead(name=f"{words.done}-frame-{frame.number + 1:05}.png")
        return _packed(head, pictures.encode(picture, ""))

    def _made(self, frame: Frame) -> tuple[Outcome, Model, Shows]:
        """A frame after all stages, by which model, and what was asked for."""
        shows = self.shows
        task = _TASKS[shows.type]
        if task not in self._held:
            self._held[task] = self._open.enter_context(self._service.of_task(task).runtime())
        model, runtime = self._held[task]
        if self._chain is None or self._chain[0] != shows:
            self._chains.close()
            chain = Chain(stages_of(_request(model, shows).steps()), runtime)
            self._chain = shows, self._chains.enter_context(chain)
        # one by one: the first of several would wait for the last
        (outcome,) = self._chain[1].run([frame], 1)
        return outcome, model, shows


def _request(model: Model, shows: Shows) -> Wanted:
    if isinstance(shows, Locate):
        return MeasurementRequest(model, faces=shows.faces)
    if isinstance(shows, Restore):
        return RestorationRequest(model, faces=shows.faces)
    return Request(model, faces=shows.faces, regions=shows.regions, dilation=shows.dilation)


def _parsed(adapter: TypeAdapter[T], text: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise _EndedError(_NOT_SO, f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


async def _refuse(websocket: WebSocket, code: int, detail: str) -> None:
    """Close with a line, which a close frame has only 123 bytes for."""
    line = " ".join(detail.split())
    if websocket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        await websocket.send_json({"type": "refused", "detail": line})
        await websocket.close(code, line.encode()[:120].decode("utf-8", "ignore"))
    except (WebSocketDisconnect, RuntimeError):
        pass  # it has gone meanwhile


def _packed(head: BaseModel, *contents: bytes) -> bytes:
    text = head.model_dump_json().encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *contents])


def _jpeg(image: Image) -> bytes:
    scale = LONGEST / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()


def _marked(jpeg: bytes) -> bytes:
    """A JPEG that says in its XMP packet that it is reconstructed."""
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()
    return jpeg[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + jpeg[2:]
