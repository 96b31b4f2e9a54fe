"""Photos: reconstructions, restorations and measurements of them, and the regions of the faces in them."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.custody.audit import audit_log
from facerecon.custody.keys import signing_key
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.images import encode_png
from facerecon.inference import media
from facerecon.inference.chain import Chain
from facerecon.inference.frames import BOX, FIVE, FOUND_BY, LANDMARKS68, SQUARE, Face, Frame, Image
from facerecon.inference.making import CONFIDENCE, PHOTO, SHEET, Made, Model, Wanted, maker, stages_of
from facerecon.inference.measuring import OVERLAY, VALUES
from facerecon.inference.record import Record
from facerecon.marks import MEASURED, RECONSTRUCTED, RESTORED
from serving.forms import (
    FaceForm,
    MeasurementForm,
    PhotoForm,
    RestorationForm,
    check_picture,
    form_schema,
    read_form,
)
from serving.guard import HOLDER
from serving.measurements import Measurement, ServedModel
from serving.problems import ProblemDetails, ProblemError, own_fault
from serving.served import Served
from serving.service import Service

PNG = "image/png"

_REFUSALS = {
    400: "no readable multipart form",
    401: "no token, or a revoked one",
    403: "the request comes from another site",
    404: "there is no such thing",
    408: "the upload took too long",
    409: "it is not ready, or no model of that task is served",
    413: "the body or a picture is too large",
    415: "no multipart form",
    421: "the Host is not the service's",
    422: "a field or a picture cannot be used; the detail says why",
    500: "something went wrong in the service",
    503: "the service is about to end, too many requests, or no champion yet; Retry-After says when to try again",
    507: "no space is left on the service's disk",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI is to say of these statuses."""
    return {status: {"model": ProblemDetails, "description": _REFUSALS[status]} for status in statuses}


_OF_PHOTOS = refusals(400, 401, 403, 408, 413, 415, 421, 422, 500, 503, 507)


class Pictures(BaseModel):
    """PNGs as base64."""

    picture: str
    confidence: str
    sheet: str


class Names(BaseModel):
    """How to call the files, for `facerecon verify` to find them beside each other."""

    picture: str
    confidence: str
    sheet: str
    record: str


class Reconstruction(BaseModel):
    """``record`` is to be read, ``record_file`` to be saved as it is: the record with the files' digests, signed."""

    id: str
    statement: str
    model: ServedModel
    record: Record
    record_file: str
    pictures: Pictures
    names: Names


class Restoration(Reconstruction):
    """The same of a photo whose faces were restored."""


class FoundFace(BaseModel):
    """A face: ``number`` from 1, the largest first. All in pixels; ``box`` is left, top, right, bottom, ``five`` eyes,
    nose and mouth's corners, ``square`` the corner and the whole upper edge of what the network sees. A face that was
    pointed out by hand has no ``landmarks68``."""

    number: int
    found_by: str
    box: tuple[float, float, float, float]
    five: list[tuple[float, float]]
    landmarks68: list[tuple[float, float]] | None
    square: tuple[tuple[float, float], tuple[float, float]]


class Regions(BaseModel):
    """The faces that were taken, and what the regions hide as a PNG (white is hidden) in base64, null if none were
    named."""

    width: int
    height: int
    faces: list[FoundFace]
    remarks: list[str]
    hidden: float
    mask: str | None


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    content: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def photo_routes(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["photos"])

    async def made(
        request: Request,
        form: type[FaceForm | RestorationForm | MeasurementForm],
        files: tuple[str, ...],
        make: Callable[[Any, bytes, bytes | None, str, bool], Answer],
    ) -> Response:
        with service.pool.place() as place:
            settings = service.settings
            fields, come = await read_form(request, form, files, settings.upload_seconds, int(settings.photo_mb * 1e6))
            content = {name: await file.read() for name, file in come.items()}
            wants = request.headers.get("accept", "").lower()
            only_picture = PNG in wants and "application/json" not in wants
            holder = request.scope[HOLDER].name

            async def gone() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass

            answer = await place.run(
                lambda: make(fields, content["photo"], content.get("mask"), holder, only_picture), gone
            )
        return Response(answer.content, headers=answer.headers, media_type=answer.media_type)

    @routes.post(
        "/reconstructions",
        summary="Fill what is hidden of the faces in a photo",
        response_class=Response,
        responses={
            200: {"model": Reconstruction, "content": {PNG: {}}, "description": RECONSTRUCTED.statement},
            **_OF_PHOTOS,
        },
        openapi_extra=form_schema(
            PhotoForm, {"photo": "the photograph", "mask": "white is hidden; as large as the photo"}, "photo"
        ),
    )
    async def reconstructions(request: Request) -> Response:
        """Something must be hidden: by a mask, by regions, or by both. The answer is JSON; with `Accept: image/png` the
        picture alone, which holds its record."""
        service.of_task(INPAINTING.task)
        return await made(request, PhotoForm, ("photo", "mask"), reconstruct)

    @routes.post(
        "/restorations",
        summary="Restore the faces in a degraded photo",
        response_class=Response,
        responses={
            200: {"model": Restoration, "content": {PNG: {}}, "description": RESTORED.statement},
            **_OF_PHOTOS,
            **refusals(409),
        },
        openapi_extra=form_schema(RestorationForm, {"photo": "the photograph"}, "photo"),
    )
    async def restorations(request: Request) -> Response:
        """Needs a model of restoration beside that of inpainting: `/v1/models` lists both. The answer is JSON; with
        `Accept: image/png` the picture alone, which holds its record."""
        service.of_task(RESTORATION.task)
        return await made(request, RestorationForm, ("photo",), restore)

    @routes.post(
        "/landmarks",
        summary="Find 68 points in 3D, depth and shape of the faces in a photo",
        response_class=Response,
        responses={
            200: {"model": Measurement, "content": {PNG: {}}, "description": MEASURED.statement},
            **_OF_PHOTOS,
            **refusals(409),
        },
        openapi_extra=form_schema(MeasurementForm, {"photo": "the photograph"}, "photo"),
    )
    async def landmarks(request: Request) -> Response:
        """Needs a model of landmarks: `/v1/models` lists it. The answer is JSON, with the files of `facerecon
        landmarks`; with `Accept: image/png` the photo alone with the points drawn over it, which holds its record."""
        service.of_task(LANDMARKS.task)
        return await made(request, MeasurementForm, ("photo",), measure)

    @routes.post(
        "/regions",
        summary="The faces in a photo, and the mask that regions make of them",
        response_class=Response,
        responses={
            200: {"model": Regions, "content": {PNG: {}}, "description": "faces and mask; nothing is kept"},
            **_OF_PHOTOS,
        },
        openapi_extra=form_schema(FaceForm, {"photo": "the photograph"}, "photo"),
    )
    async def regions(request: Request) -> Response:
        """The answer is JSON; with `Accept: image/png` the mask alone, for which regions must be named."""
        return await made(request, FaceForm, ("photo",), find)

    def reconstruct(form: PhotoForm, photo: bytes, mask: bytes | None, operator: str, only_picture: bool) -> Answer:
        with mendable():
            image = _decoded(photo, service.settings.most_pixels)
            if mask is not None:
                check_picture(mask, "mask", service.settings.most_pixels)
            hides = None if mask is None else media.decode_mask(mask, "mask")
        asked = partial(form.asked, masked=hides is not None, **about(form, operator))
        return use(service.of_task(INPAINTING.task), asked, image, sha256_bytes(photo), hides, only_picture)

    def restore(form: RestorationForm, photo: bytes, _mask: bytes | None, operator: str, only_picture: bool) -> Answer:
        settings, factor = service.settings, form.upscale
        with mendable():
            image = _decoded(photo, settings.most_pixels)
        if (pixels := image.shape[0] * image.shape[1] * factor**2) > settings.most_pixels:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"photo: enlarged {factor} times it has {pixels / 1e6:.2f} megapixels; at most {settings.megapixels:g} "
                "are made",
            )
        asked = partial(form.asked, **about(form, operator))
        return use(service.of_task(RESTORATION.task), asked, image, sha256_bytes(photo), None, only_picture)

    def measure(form: MeasurementForm, photo: bytes, _mask: bytes | None, operator: str, only_picture: bool) -> Answer:
        with mendable():
            image = _decoded(photo, service.settings.most_pixels)
        asked = partial(form.asked, **about(form, operator))
        return use(service.of_task(LANDMARKS.task), asked, image, sha256_bytes(photo), None, only_picture)

    def about(form: PhotoForm | RestorationForm | MeasurementForm, operator: str) -> dict[str, Any]:
        return {"case": form.case, "reason": form.reason, "operator": operator, "software": service.software}

    def use(
        served: Served,
        asked: Callable[..., Wanted],
        image: Image,
        sha256: str,
        mask: media.Mask | None,
        only_picture: bool,
    ) -> Answer:
        """What the model that is served makes of a photo whose file has this SHA-256."""
        with usable_custody():
            signing_key()
            audit_log().head()
        with mendable(), served.runtime() as (model, runtime), maker(asked(model=model), runtime) as making:
            result = making.photo(image, sha256, mask, "photo")
            name = f"{result.words.result}-{result.record.id[:12]}"
            files = {**result.pictures, **{end: text(name) for end, text in result.texts.items()}}
            side = making.sidecar(result, {f"{name}{end}": sha256_bytes(content) for end, content in files.items()})
        with usable_custody():
            result.log()
        headers = {**model_headers(model), "facerecon-record": result.record.id}
        measured = result.words == MEASURED
        if only_picture:
            return Answer(files[OVERLAY if measured else PHOTO], PNG, headers)
        told = _measured(files, name) if measured else _pictured(files, name)
        return Answer(_json(result, model, side, told), "application/json", headers)

    def find(form: FaceForm, photo: bytes, _mask: bytes | None, _operator: str, only_picture: bool) -> Answer:
        with mendable():
            if only_picture and not form.regions:
                raise FaceReconError("regions: name at least one for a mask")
            image = _decoded(photo, service.settings.most_pixels)
            with service.any_loaded.runtime() as (model, runtime):
                steps = form.asked(model=model).steps()[:-1]
                with Chain(stages_of(steps), runtime) as chain:
                    (outcome,) = chain.run([Frame(image)])
            frame = outcome.frame
            if only_picture and (frame.hidden is None or not frame.hidden.any()):
                raise FaceReconError(
                    f"photo: nothing to hide: {'; '.join(frame.remarks) or 'it lies beyond the picture'}"
                )
        mask = None if frame.hidden is None else encode_png(frame.hidden.astype(np.uint8) * 255)
        if only_picture and mask is not None:
            return Answer(mask, PNG)
        found = Regions(
            width=image.shape[1],
            height=image.shape[0],
            faces=[found_face(face) for face in frame.faces],
            remarks=list(frame.remarks),
            hidden=0.0 if frame.hidden is None else float(frame.hidden.mean()),
            mask=None if mask is None else _base64(mask),
        )
        return Answer(found.model_dump_json().encode(), "application/json")

    return routes


_PICTURES = {"picture": PHOTO, "confidence": CONFIDENCE, "sheet": SHEET}
_RECORD = ".json"


@contextmanager
def mendable() -> Any:
    """What goes wrong here is in what was sent: it is told as it is."""
    try:
        yield
    except FaceReconError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, error.message) from error


@contextmanager
def usable_custody() -> Any:
    """What goes wrong here is this machine's key or log: nothing can be answered."""
    try:
        yield
    except (FaceReconError, OSError) as error:
        raise own_fault(error) from error


def model_headers(model: Model) -> dict[str, str]:
    """Which model made an answer."""
    return {"facerecon-model": quote(str(model), safe="/ ._-"), "facerecon-model-digest": model.digest}


def served_model(model: Model) -> ServedModel:
    """A model's name, version and digest."""
    return ServedModel(name=model.name, version=model.version, digest=model.digest)


def _decoded(photo: bytes, most: int) -> Any:
    check_picture(photo, "photo", most)
    return media.decode_photo(photo, "photo")


def _json(made: Made, model: Model, side: str, told: dict[str, Any]) -> bytes:
    """An answer with a record, of which the files are not checked letter by letter."""
    whole = {
        "id": made.record.id,
        "statement": made.words.statement,
        "model": served_model(model).model_dump(),
        "record": made.signed["document"],
        "record_file": side,
        **told,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def _pictured(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """What a ``Reconstruction`` has beside its record; the names of ``files``, by their ends, begin with ``name``."""
    names = {what: f"{name}{end}" for what, end in {**_PICTURES, "record": _RECORD}.items()}
    return {"pictures": {what: _base64(files[end]) for what, end in _PICTURES.items()}, "names": names}


def _measured(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """What a ``Measurement`` has beside its record."""
    return {
        "values": json.loads(files[VALUES]),
        "record_name": f"{name}{_RECORD}",
        "files": {f"{name}{end}": _base64(content) for end, content in files.items()},
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def found_face(face: Face) -> FoundFace:
    """A face as it is told."""
    square = face[SQUARE]
    points = [[round(float(x), 2) for x in point] for point in face[LANDMARKS68]] if LANDMARKS68 in face else None
    return FoundFace.model_validate(
        {
            "number": face.number,
            "found_by": face[FOUND_BY],
            "box": [round(float(x), 2) for x in face[BOX]],
            "five": [[round(float(x), 2) for x in point] for point in face[FIVE]],
            "landmarks68": points,
            "square": [[round(float(x), 3) for x in each] for each in (square.origin, square.right)],
        }
    )
