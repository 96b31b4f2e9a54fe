"""What a model file takes and gives: the signature of each task as data.

The export names a file's inputs and outputs by it and compares its outputs at its peaks; the predictor checks files and
arrays against it. Nothing here needs PyTorch or ONNX.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.errors import FaceReconError

Array = NDArray[np.float32]
Shape = tuple[int | str, ...]

_DIMENSION = re.compile(r"s?[A-Z]")


@dataclass(frozen=True)
class Value:
    """One float32 array that a model takes or gives.

    ``shape`` holds numbers and symbols. A symbol is one capital letter that stands for the same number throughout a
    signature: N examples of H x W pixels; "sH" is the file's ``scale`` times H. ``low`` and ``high`` bound the values,
    a ``binary`` one has no others. Where the input that ``hidden_by`` names is 1, this one is ignored.
    """

    name: str
    shape: Shape
    low: float
    high: float
    binary: bool = False
    hidden_by: str | None = None

    def __post_init__(self) -> None:
        for dim in self.shape:
            if isinstance(dim, str) and not _DIMENSION.fullmatch(dim):
                raise ValueError(f"{self.name}: dimension '{dim}' is neither a number nor a symbol such as N, H or sH")

    @property
    def peak(self) -> float:
        """The largest difference that two of its values can have."""
        return self.high - self.low


@dataclass(frozen=True)
class Signature:
    """What the model files of a ``task`` take and give; ``metadata`` stands in each of them alike."""

    task: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def zeros(self, **sizes: int) -> dict[str, Array]:
        """Inputs of zeros; ``sizes`` gives each symbol its number."""
        return {value.name: np.zeros(shape_of(value, sizes), np.float32) for value in self.inputs}

    def checked(
        self, given: Mapping[str, NDArray[Any]], fixed: Mapping[str, int] | None = None
    ) -> tuple[dict[str, Array], dict[str, int]]:
        """The inputs with 0 where they are hidden, and the number that each symbol stands for.

        ``fixed`` says which numbers some symbols must have.

        Raises:
            FaceReconError: names, types, shapes or values are not those of the signature.
        """
        expected = [value.name for value in self.inputs]
        if set(given) != set(expected):
            raise FaceReconError(f"inputs {_listed(sorted(given))}; expected {_listed(expected)}")
        sizes = dict(fixed or {})
        for value in self.inputs:
            _check_shape(value, given[value.name], sizes)
        arrays = {value.name: np.ascontiguousarray(given[value.name]) for value in self.inputs}
        # what hides comes before what it hides
        for value in sorted(self.inputs, key=lambda value: value.hidden_by is not None):
            if value.hidden_by:
                arrays[value.name] = np.where(arrays[value.hidden_by] == 1, np.float32(0), arrays[value.name])
            _check_values(value, arrays[value.name])
        return arrays, sizes


def shape_of(value: Value, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with each symbol replaced by its number; ``sizes["s"]`` is the scale, if a symbol asks for it."""
    return tuple(dim if isinstance(dim, int) else prod(sizes[letter] for letter in dim) for dim in value.shape)


def _check_shape(value: Value, array: NDArray[Any], sizes: dict[str, int]) -> None:
    """Compare the type and the shape; a symbol that is met for the first time gets its number in ``sizes``."""
    got = f"{value.name}: {array.dtype} {_listed(array.shape)}"
    if array.dtype != np.float32:
        raise FaceReconError(f"{got}; expected float32 {_listed(value.shape)}: convert it with astype('float32')")
    if array.ndim != len(value.shape):
        raise FaceReconError(f"{got}; expected {_listed(value.shape)}")
    if not array.size:
        raise FaceReconError(f"{got}: it is empty; expected {_listed(value.shape)} of at least 1 each")
    for dim, size in zip(value.shape, array.shape, strict=True):
        if size != (dim if isinstance(dim, int) else sizes.setdefault(dim, size)):
            known = ", ".join(f"{symbol} = {number}" for symbol, number in sizes.items())
            raise FaceReconError(f"{got}; expected {_listed(value.shape)} where {known}")


def _check_values(value: Value, array: Array) -> None:
    if value.binary:
        wrong = array[(array != value.low) & (array != value.high)]
        allowed = f"{value.low:g} or {value.high:g}"
    else:
        wrong = array[~((array >= value.low) & (array <= value.high))]
        allowed = f"{value.low:g} to {value.high:g}"
    if wrong.size:
        raise FaceReconError(f"{value.name} holds {wrong[0]:g}; expected {allowed}")


def _listed(names: Any) -> str:
    return f"[{', '.join(map(str, names))}]"


SIGNATURES: dict[str, Signature] = {}
"""The signature of each task by its name: see ``register_signature``."""


def register_signature(signature: Signature) -> Signature:
    """Make the files of a task known to whoever reads model files."""
    SIGNATURES[signature.task] = signature
    return signature


INPAINTING = register_signature(
    Signature(
        "inpainting",
        inputs=(
            Value("image", ("N", 3, "H", "W"), -1, 1, hidden_by="mask"),
            Value("mask", ("N", 1, "H", "W"), 0, 1, binary=True),
        ),
        outputs=(
            Value("reconstruction", ("N", 3, "H", "W"), -1, 1),
            Value("confidence", ("N", 1, "H", "W"), 0, 1),
        ),
        metadata={"normalisation": "RGB, uint8 / 127.5 - 1", "mask_polarity": "1 = hole, 0 = known"},
    )
)
"""``mask`` 1 = hole. ``reconstruction`` is composited; ``confidence`` is a probability, 1 outside holes."""

RESTORATION = register_signature(
    Signature(
        "restoration",
        inputs=(Value("image", ("N", 3, "H", "W"), -1, 1),),
        outputs=(
            Value("restoration", ("N", 3, "sH", "sW"), -1, 1),
            Value("confidence", ("N", 1, "sH", "sW"), 0, 1),
        ),
        metadata={"normalisation": "RGB, uint8 / 127.5 - 1"},
    )
)
"""``restoration`` is the whole image, ``scale`` (in the file's metadata) times as high and as wide."""


LANDMARKS = register_signature(
    Signature(
        "landmarks",
        inputs=(Value("image", ("N", 3, "H", "W"), -1, 1),),
        outputs=(
            Value("landmarks", ("N", 68, 3), 0, 64),
            Value("depth", ("N", 1, "H", "W"), 0, 64),
            Value("confidence", ("N", 68), 0, 1),
        ),
        metadata={"normalisation": "RGB, uint8 / 127.5 - 1", "unit": "pixels of the image; z towards the camera"},
    )
)
"""``landmarks`` are x, y, z, ``depth`` is z of each pixel of the face; their bounds are those of a crop of 64 px."""


def normalise(images: NDArray[np.uint8]) -> Array:
    """RGB uint8 [N, H, W, 3] as float32 [N, 3, H, W] in [-1, 1]."""
    return images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


def to_uint8(images: Array) -> NDArray[np.uint8]:
    """Finite float32 [N, 3, H, W] in [-1, 1] as RGB uint8 [N, H, W, 3], rounded; what lies outside is clipped."""
    pixels = (images.clip(-1, 1) + 1) * 127.5
    return pixels.round().astype(np.uint8).transpose(0, 2, 3, 1)
