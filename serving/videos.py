"""Videos: accepted as jobs, looked after, fetched, removed."""

import asyncio
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import av
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response

from facerecon.contract import RESTORATION
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.inference import media
from serving.forms import VideoForm, check_picture, form_schema, read_form
from serving.guard import HOLDER
from serving.jobs import Job, State
from serving.photos import mendable, refusals
from serving.problems import ProblemError, own_fault
from serving.served import loaded_tasks
from serving.service import Service


class Video(BaseModel):
    """A job: ``frames`` is null where the file does not tell how many it has; times are UTC."""

    id: str
    state: State
    detail: str
    made: datetime
    expires: datetime
    frames: int | None
    frames_done: int
    result: str | None
    record: str | None


def video_routes(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/videos", tags=["videos"])
    known = refusals(401, 404, 421)

    async def mine(request: Request, job: str) -> Job:
        found = await asyncio.to_thread(service.jobs.find, job, request.scope[HOLDER].name)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such video: removed, expired, or never there")
        return found

    @routes.post(
        "",
        summary="Fill what is hidden of the faces in a video, or restore them",
        status_code=HTTPStatus.ACCEPTED,
        response_model=Video,
        responses=refusals(400, 401, 403, 408, 409, 413, 415, 421, 422, 500, 503, 507),
        openapi_extra=form_schema(
            VideoForm, {"video": "the clip", "mask": "white is hidden in each frame; as large as the frames"}, "video"
        ),
    )
    async def accept(request: Request, response: Response) -> Video:
        """Accepted once it is on the disk; where to look for it says Location."""
        settings = service.settings
        # what waits for a model that is not served holds nobody up
        waiting = await asyncio.to_thread(service.jobs.waiting, loaded_tasks(service.served))
        if service.pool.draining or waiting >= settings.queue:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too many videos wait; try later", {"retry-after": "60"})
        memory = int(settings.photo_mb * 1e6)
        form, come = await read_form(request, VideoForm, ("video", "mask"), 10 * settings.upload_seconds, memory)
        service.of_task(form.task)
        restores, masked = form.task == RESTORATION.task, "mask" in come
        if restores and masked:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "mask: restoration takes none, it restores whole faces")
        if not (restores or masked or form.regions):
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "nothing is to be hidden: give a mask, or name a region"
            )
        operator = request.scope[HOLDER].name
        try:
            job = await asyncio.to_thread(
                service.jobs.accept,
                operator,
                form.model_dump_json(),
                lambda folder: _fill(folder, come, settings.most_pixels, form.upscale),
            )
        except OSError as error:
            raise own_fault(error) from error
        service.videos.wake()
        response.headers["location"] = f"/v1/videos/{job.id}"
        return _told(job)

    @routes.get("/{job}", summary="How far a video is", responses=known)
    async def look(request: Request, job: str) -> Video:
        """Ask again every second or so until its state is done or failed."""
        return _told(await mine(request, job))

    @routes.get(
        "/{job}/result",
        summary="The video that was made",
        response_class=Response,
        responses={200: {"content": {"video/mp4": {}, "video/x-matroska": {}}}, **refusals(401, 404, 409, 421)},
    )
    async def result(request: Request, job: str) -> Response:
        """Save it beside its record, for `facerecon verify`."""
        found = _ready(await mine(request, job))
        kind = "video/mp4" if found.result.endswith(".mp4") else "video/x-matroska"
        return FileResponse(found.folder / found.result, media_type=kind, filename=found.result)

    @routes.get(
        "/{job}/record",
        summary="Its signed record",
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}, **refusals(401, 404, 409, 421)},
    )
    async def record(request: Request, job: str) -> Response:
        """Save it as it is."""
        found = _ready(await mine(request, job))
        name = Path(found.result).with_suffix(".json").name
        return FileResponse(found.record, media_type="application/json", filename=name)

    @routes.delete(
        "/{job}",
        summary="Cancel and remove a video",
        status_code=HTTPStatus.NO_CONTENT,
        responses=refusals(401, 403, 404, 421),
    )
    async def remove(request: Request, job: str) -> None:
        """Upload and result are gone with it."""
        found = await mine(request, job)
        await asyncio.to_thread(service.jobs.remove, found.id)
        service.videos.drop(found.id)

    return routes


def _fill(folder: Path, come: Mapping[str, UploadFile], most_pixels: int, upscale: int) -> int | None:
    """Write what came into a job's folder and see that it can be used, also ``upscale`` times as large; how many frames
    its file says it has.

    Raises:
        ProblemError: it cannot.
    """
    for name, file in (("upload", come["video"]), ("mask", come.get("mask"))):
        if file is not None:
            with (folder / name).open("wb") as stream:
                shutil.copyfileobj(file.file, stream)
    upload, path = folder / "upload", folder / "mask"
    with mendable():
        try:
            mask = None
            if path.is_file():
                check_picture(path.read_bytes(), "mask", most_pixels)
                mask = media.decode_mask(path.read_bytes(), "mask")
            first = next(media.read_clip(upload, Tally(), mask))
        except FaceReconError as error:
            raise FaceReconError(error.message.replace(str(upload), "video")) from error
        height, width = first.size
        height, width = height * upscale, width * upscale
        if height * width > most_pixels:
            done, remedy = ("taken", "") if upscale == 1 else ("made", ": give a lower upscale")
            enlarged = "" if upscale == 1 else f" when enlarged {upscale} times"
            raise FaceReconError(
                f"video: frames of {width} x {height}{enlarged}; at most {most_pixels / 1e6:g} megapixels are {done}"
                f"{remedy}"
            )
    try:
        with av.open(str(upload)) as container:
            return container.streams.video[0].frames or None
    except (av.FFmpegError, OSError, IndexError):
        return None


def _ready(job: Job) -> Job:
    if job.state != "done":
        raise ProblemError(HTTPStatus.CONFLICT, job.detail if job.state == "failed" else f"the video is {job.state}")
    return job


def _told(job: Job) -> Video:
    made = job.state == "done"
    return Video(
        id=job.id,
        state=job.state,
        detail=job.detail,
        made=datetime.fromtimestamp(job.made, UTC),
        expires=datetime.fromtimestamp(job.expires, UTC),
        frames=job.frames,
        frames_done=job.done,
        result=f"/v1/videos/{job.id}/result" if made else None,
        record=f"/v1/videos/{job.id}/record" if made else None,
    )
