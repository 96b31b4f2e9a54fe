"""Forms that come in: multipart, its files in memory or unlinked, and its fields checked."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, get_origin

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from facerecon.images import TooLargeImageError, UnreadableImageError, check_header
from facerecon.inference.making import Request as Asked
from facerecon.inference.making import RestorationRequest, Wanted
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.regions import REGIONS, Regions
from serving.problems import ClientGoneError, ProblemError

F = TypeVar("F", bound=BaseModel)

Point = tuple[float, float]
Line = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A line of text."""

_MOST_FIELDS, _MOST_FIELD = 50, 10_000


def _points(value: Any) -> Any:
    """Five points from "x,y x,y x,y x,y x,y"."""
    if not isinstance(value, str):
        return value
    try:
        found = [tuple(map(float, point.split(","))) for point in value.split()]
    except ValueError:
        found = []
    if len(found) != 5 or any(len(point) != 2 for point in found):
        raise ValueError("expected five points x,y set apart by spaces: eyes, nose, mouth's corners")
    return found


def _names(value: Any) -> Any:
    """Names, also several in one field, set apart by commas."""
    return [name.strip() for each in value for name in each.split(",") if name.strip()]


class _Faces(BaseModel):
    """Which faces."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    faces: Literal["largest", "all"] | Annotated[int, Field(ge=1, le=1000)] = Field(
        "largest", description="largest, all, or a number from 1, the largest face's"
    )
    points: Annotated[tuple[Point, Point, Point, Point, Point] | None, BeforeValidator(_points)] = Field(
        None, description='one face by hand: eyes, nose, mouth\'s corners, as "x,y x,y x,y x,y x,y" in pixels'
    )


class FaceForm(_Faces):
    """Which faces, and which regions of them."""

    regions: Annotated[Regions, BeforeValidator(_names)] = Field(
        (),
        description=f"what to hide of each face, repeated or set apart by commas: {', '.join(REGIONS)}",
        max_length=20,
    )
    dilation: float | None = Field(None, ge=0, le=1, description="enlarge regions by so many eye distances")

    @model_validator(mode="after")
    def _can_be(self) -> "FaceForm":
        if self.regions and self.points:
            raise ValueError("points: a face pointed out by hand has no regions: give a mask")
        return self

    def asked(self, **more: Any) -> Asked:
        """As the library takes it."""
        about = {name: getattr(self, name) for name in ("regions", "dilation", "faces", "points")}
        return Asked(**about, **more)


class _ForRecord(BaseModel):
    case: Line = Field("", description="what the record calls the case")
    reason: Line = Field("", description="why; it goes into the record")


class PhotoForm(_ForRecord, FaceForm):
    """What is asked for of a photo."""


class RestorationForm(_ForRecord, _Faces):
    """What is asked for of a photo whose faces are to be restored."""

    upscale: int = Field(1, ge=1, le=4, description="the whole picture comes out so many times as large")

    def asked(self, **more: Any) -> RestorationRequest:
        """As the library takes it."""
        about = {name: getattr(self, name) for name in ("faces", "points", "upscale")}
        return RestorationRequest(**about, **more)


class MeasurementForm(_ForRecord, _Faces):
    """What is asked for of a photo whose faces are to be measured."""

    faces: Literal["largest", "all"] | Annotated[int, Field(ge=1, le=1000)] = Field(
        "all", description="largest, all, or a number from 1, the largest face's"
    )

    def asked(self, **more: Any) -> MeasurementRequest:
        """As the library takes it."""
        return MeasurementRequest(faces=self.faces, points=self.points, **more)


class VideoForm(PhotoForm):
    """What is asked for of a clip, by the ``task`` of the model that is to make it."""

    task: Literal["inpainting", "restoration"] = Field(
        "inpainting",
        description="inpainting fills what is hidden; restoration restores faces, of which nothing is hidden",
    )
    upscale: int = Field(
        1, ge=1, le=4, description="of restoration: the whole picture comes out so many times as large"
    )
    lossless: bool = Field(False, description="FFV1 in Matroska, which changes no pixel, instead of H.264 in MP4")

    @model_validator(mode="after")
    def _of_its_task(self) -> "VideoForm":
        if self.task == "inpainting" and self.upscale != 1:
            raise ValueError("upscale: only restoration enlarges: leave it out, or say task=restoration")
        if self.task == "restoration" and (self.regions or self.dilation is not None):
            raise ValueError("regions: restoration hides nothing: leave them out, or say task=inpainting")
        return self

    def wanted(self, masked: bool, **more: Any) -> Wanted:
        """As the library takes it; ``masked`` says that a mask has come."""
        more |= {"lossless": self.lossless}
        if self.task == "inpainting":
            return self.asked(masked=masked, **more)
        return RestorationRequest(faces=self.faces, points=self.points, upscale=self.upscale, **more)


async def read_form(
    request: Request, model: type[F], files: tuple[str, ...], seconds: float, in_memory: int
) -> tuple[F, Mapping[str, UploadFile]]:
    """The fields of a multipart form as ``model``, and those of its files that came, of which the first must.

    A file of at most ``in_memory`` bytes stays in memory; a larger one has no name on the disk: nothing is left.

    Raises:
        ProblemError: it is no such form, or took longer than ``seconds``.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected multipart/form-data")
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=len(files), max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD
    )
    parser.spool_max_size = in_memory
    try:
        async with asyncio.timeout(seconds):
            items = (await parser.parse()).multi_items()
    except TimeoutError as error:
        said = f"the upload took longer than {seconds:g} s"
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, said, {"connection": "close"}) from error
    except ClientDisconnect as error:
        raise ClientGoneError from error
    except MultiPartException as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"no readable multipart form: {error.message}") from error
    come: dict[str, UploadFile] = {}
    texts: dict[str, list[str]] = {}
    for name, value in items:
        if isinstance(value, UploadFile):
            if name not in files or name in come:
                raise _unprocessable(f"the file {name!a} was not expected; expected one each of: {', '.join(files)}")
            come[name] = value
        elif name in files:
            raise _unprocessable(f"{name}: text was sent; expected a file: an address is never fetched")
        elif value:
            texts.setdefault(name, []).append(value)
    if files[0] not in come:
        raise _unprocessable(f"{files[0]}: a file is needed")
    return _validated(model, texts), come


def check_picture(content: bytes, name: str, most: int) -> None:
    """See that a picture has at most ``most`` pixels, before one is decoded.

    Raises:
        ProblemError: it has more, or is none.
    """
    try:
        check_header(content, most)
    except TooLargeImageError as error:
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name}: {error}") from error
    except UnreadableImageError as error:
        raise _unprocessable(f"{name}: {error}") from error


def form_schema(model: type[BaseModel], files: Mapping[str, str], required: str) -> dict[str, Any]:
    """A form's request body as OpenAPI has it."""
    schema = model.model_json_schema()
    binary = {name: {"type": "string", "format": "binary", "description": what} for name, what in files.items()}
    schema["properties"] = binary | schema["properties"]
    schema["required"] = [required]
    # points travel as text
    if "points" in schema["properties"]:
        described = schema["properties"]["points"]["description"]
        schema["properties"]["points"] = {"type": "string", "title": "Points", "description": described}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _validated(model: type[F], texts: Mapping[str, list[str]]) -> F:
    values: dict[str, Any] = {}
    for name, given in texts.items():
        field = model.model_fields.get(name)
        if field is None:
            raise _unprocessable(f"the field {name!a} is not known; expected: {', '.join(model.model_fields)}")
        if get_origin(field.annotation) is tuple:
            values[name] = given
        elif len(given) > 1:
            raise _unprocessable(f"{name}: given {len(given)} times")
        else:
            values[name] = given[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        where = f"{first['loc'][0]}: " if first["loc"] else ""
        raise _unprocessable(f"{where}{said}") from error


def _unprocessable(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
