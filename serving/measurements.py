"""What a measurement answers: the values of `facerecon landmarks`, with their files."""

from typing import Literal

from pydantic import BaseModel

from facerecon.inference.record import Record


class ServedModel(BaseModel):
    """The model that made it: SHA-256 of its file, and the registered version, "" for a file."""

    name: str
    version: str
    digest: str


class Square(BaseModel):
    """Where a picture of depth lies in the photo: its corner, and its whole upper edge, in pixels."""

    corner: tuple[float, float]
    edge: tuple[float, float]


class DepthFile(BaseModel):
    """A picture of 16-bit gray: 0 is outside the face, else z = ``offset`` + ``scale`` * value in pixels of the
    photo."""

    file: str
    offset: float
    scale: float
    square: Square


class MeshFile(BaseModel):
    """A mesh in mm, as OBJ; where it was not fitted it is the mean face, and ``refused`` says why. ``reprojection`` is
    how far its points lie from those that were found, on average, in pixels."""

    file: str
    refused: str | None
    reprojection: float


class MeasuredFace(BaseModel):
    """A face: ``box`` is left, top, right, bottom in pixels, ``points`` are 68 times x, y, z, each with its
    ``confidence``. One that the network takes for none has none of these, and ``refused`` says why."""

    face: int
    found_by: str
    box: tuple[float, float, float, float]
    refused: str | None
    points: list[tuple[float, float, float]] | None
    confidence: list[float] | None
    depth: DepthFile | None
    mesh: MeshFile | None


class ValuesModel(BaseModel):
    """The model: its name with its version, and its file."""

    name: str
    sha256: str


class MeasuredPhoto(BaseModel):
    """The photo's file, and its size as it is shown."""

    sha256: str
    width: int
    height: int


class Overlay(BaseModel):
    """The photo, ``scale`` times as large, with the points drawn over it."""

    file: str
    scale: int


class Camera(BaseModel):
    """What was assumed of the camera; ``focal`` and ``centre`` are in pixels of the photo."""

    assumed: str
    focal: float
    centre: tuple[float, float]


class Values(BaseModel):
    """What was measured; ``units`` says of each number what it is."""

    schema_version: Literal[1]
    statement: str
    record: str
    model: ValuesModel
    measured_from: str
    photo: MeasuredPhoto
    overlay: Overlay
    camera: Camera
    units: dict[str, str]
    remarks: list[str]
    faces: list[MeasuredFace]


class Measurement(BaseModel):
    """``record`` and ``values`` are to be read; ``record_file``, to be called ``record_name``, and all of ``files``, by
    name as base64, are to be saved as they are: overlay, values, and depth and mesh of each face."""

    id: str
    statement: str
    model: ServedModel
    record: Record
    values: Values
    record_name: str
    record_file: str
    files: dict[str, str]
