"""What travels through a chain: frames, the faces in them, and the edits that are composited onto them at the end.

Nothing here is changed in place: a stage returns new frames, and the picture that was given stays as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.geometry import Square, cut, cut_known
from facerecon.perception.landmarks import Points

T = TypeVar("T")

Image = NDArray[np.uint8]


class Key(str, Generic[T]):
    """The name of something that stages tell of a face, with its type: ``face[SQUARE]`` is a ``Square``."""


BOX: Key[NDArray[np.float32]] = Key("face.box")
"""Left, top, right, bottom [4] in pixels of the frame."""

FIVE: Key[Points] = Key("face.five")
"""Eyes, nose, mouth's corners [5, 2] in pixels of the frame, as ``perception.landmarks.five_points``."""

LANDMARKS68: Key[Points] = Key("face.landmarks68")
"""The 68 points of iBUG 300-W [68, 2] in pixels of the frame."""

MESH: Key[Points] = Key("face.mesh")
"""MediaPipe's points [478, 3] in pixels of the frame; z is relative depth away from the camera, in the same unit."""

SQUARE: Key[Square] = Key("face.square")
"""Where the face is cut out for a network."""

POINTS3D: Key[Points] = Key("face.points3d")
"""The 68 points [68, 3], measured by a network: x and y in pixels of the frame, z in these pixels towards the camera,
from the mean of the points."""

POINTS_CONFIDENCE: Key[NDArray[np.float32]] = Key("face.points_confidence")
"""For each of them [68] the probability that it lies within 5 % of the square root of the area of the points' box."""

REFUSED: Key[str] = Key("face.refused")
"""Why a face was not measured."""

DEPTH: Key["Depth"] = Key("face.depth")
"""How deep the face is."""

FOUND_BY: Key[str] = Key("face.found_by")
"""What found it: a detector's name, or "hand"."""

HIDDEN = "frame.hidden"
"""``Frame.hidden``: it is known which pixels of the frame are missing."""

EDITS = "frame.edits"
"""``Frame.edits``: pixels to be composited onto the frame."""

SCALE = "frame.scale"
"""``Frame.scale``: the result is so many times as large as the frame."""


@dataclass(frozen=True, eq=False)
class Depth:
    """How deep a face is where it lies in ``square``: ``values`` float32 [S, S] are z in pixels of the frame towards
    the camera, from the mean of the face's points; NaN outside the points' outline."""

    square: Square
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a frame: ``number`` from 1, the largest first; ``values`` by ``Key``."""

    number: int
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, key: Key[T]) -> T:
        return cast(T, self.values[key])

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def told(self, key: Key[T], value: T) -> "Face":
        """This face with one more value."""
        return replace(self, values=MappingProxyType({**self.values, key: value}))


@dataclass(frozen=True, eq=False)
class Edit:
    """Pixels that take the place of some of a frame's.

    ``pixels`` uint8 [S, S, 3] and ``confidence`` float32 [S, S] in [0, 1] lie in ``square``. ``alpha`` float32 [h, w]
    in [0, 1] has the pixels of ``Frame.ground``, from (``top``, ``left``) on: 0 leaves a pixel as it is, bit for bit, 1
    takes the new one. ``known`` uint8 [S, S] is 1 where ``pixels`` are the photograph's own. ``face`` is the face's
    number.
    """

    kind: str
    face: int
    square: Square
    pixels: Image
    confidence: NDArray[np.float32]
    known: NDArray[np.uint8]
    top: int
    left: int
    alpha: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture uint8 [H, W, 3], RGB: a photograph, or one of a clip's.

    ``number`` counts from 0, ``time`` is in seconds from the clip's first. ``hidden`` bool [H, W] is true where pixels
    are missing, whatever stands there; None where nothing is known to be. The result is ``scale`` times as high and as
    wide. ``remarks`` are warnings about this frame.
    """

    image: Image
    number: int = 0
    time: float = 0.0
    hidden: NDArray[np.bool_] | None = None
    faces: tuple[Face, ...] = ()
    edits: tuple[Edit, ...] = ()
    scale: int = 1
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.image, self.hidden):
            if array is not None:
                array.setflags(write=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def shown(self) -> Image:
        """The picture with 0 where it is hidden: nothing that is hidden can get into a crop."""
        if self.hidden is None:
            return self.image
        return np.where(self.hidden[..., None], np.uint8(0), self.image)

    @property
    def result_size(self) -> tuple[int, int]:
        """Height and width of the result in pixels."""
        return self.image.shape[0] * self.scale, self.image.shape[1] * self.scale

    @property
    def ground(self) -> Image:
        """What edits are composited onto: the picture, enlarged bicubically to the result's size."""
        if self.scale == 1:
            return self.image
        size = self.result_size[::-1]
        return cv2.resize(self.image, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)

    def crop(self, square: Square, size: int) -> tuple[Image, NDArray[np.uint8], float]:
        """What lies in ``square`` of the original at ``size`` pixels: the picture [S, S, 3], its holes [S, S] (1 =
        hole) and the share of it beyond the frame's borders. A square smaller than that is enlarged."""
        if self.hidden is None:
            crop, padding = cut(self.image, square, size)
            return crop, np.zeros((size, size), np.uint8), padding
        return cut_known(self.shown, self.hidden, square, size)

    def remarked(self, *remarks: str) -> "Frame":
        """This frame with further remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))
