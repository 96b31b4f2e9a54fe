"""What comes in: photographs, masks, clips and folders of them, as frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.containers import read_bytes
from facerecon.data.footage.decode import Tally, UnusableClipError, clip_digest, read_frames
from facerecon.data.listing import kind_of, walk
from facerecon.data.quarantine import refusal_of
from facerecon.data.settings import FootageSettings
from facerecon.data.sources.footage import FRAMES_SUFFIX
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.formats import Kind
from facerecon.images import UnreadableImageError, read_rgb
from facerecon.inference.frames import Frame, Image

EVERY_FRAME = FootageSettings(frames_per_second=240)
"""Of a clip all frames are taken."""


@dataclass(frozen=True)
class Given:
    """A photo or a clip that was given: its ``path``, and ``name``, its place below the folder that was given, without
    suffix."""

    path: Path
    name: Path
    clip: bool


@dataclass(frozen=True, eq=False)
class Mask:
    """``hidden`` bool [H, W], and the SHA-256 of the file."""

    hidden: NDArray[np.bool_]
    sha256: str


def find_given(paths: tuple[Path, ...], out: Path) -> list[Given]:
    """The photos and clips at ``paths`` and in folders among them; what lies in ``out`` is no input.

    Raises:
        FaceReconError: a path is not there, is neither, or a folder holds none.
    """
    return [given for path in paths for given in _given_at(path, out.resolve())]


def _given_at(path: Path, out: Path) -> list[Given]:
    if not path.exists():
        raise FaceReconError(f"{path}: is not there: give a photo, a clip or a folder of them")
    if not path.is_dir() or path.name.endswith(FRAMES_SUFFIX):
        kind = Kind.CLIP if path.is_dir() else kind_of(path)
        if kind not in (Kind.PICTURE, Kind.CLIP) or not (path.is_file() or path.is_dir()):
            raise FaceReconError(f"{path}: no photo and no clip, by its name or its content")
        return [_given(path, path.parent)]
    found: dict[Path, Given] = {}
    for entry in walk(path, refuse_folders=True):
        if entry.system or entry.refused or entry.path.resolve().is_relative_to(out):
            continue
        folder = next(
            (each for each in entry.path.relative_to(path).parents if each.name.endswith(FRAMES_SUFFIX)), None
        )
        where = entry.path if folder is None else path / folder
        if where not in found and (folder is not None or kind_of(where) in (Kind.PICTURE, Kind.CLIP)):
            found[where] = _given(where, path)
    if not found:
        raise FaceReconError(f"{path}: holds no photo and no clip")
    return list(found.values())


def _given(path: Path, root: Path) -> Given:
    # a GIF may be a clip or a photo: of several frames it is a clip
    clip = path.is_dir() or kind_of(path) is Kind.CLIP or _is_animated(path)
    return Given(path, path.relative_to(root).with_suffix(""), clip)


def _is_animated(path: Path) -> bool:
    from PIL import Image as Pillow

    if path.suffix.lower() != ".gif":
        return False
    try:
        with Pillow.open(path, formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, ValueError, SyntaxError):
        return False


def read_photo(path: Path) -> tuple[Image, str]:
    """A photo's pixels uint8 [H, W, 3] as it is shown, and the SHA-256 of its bytes.

    Raises:
        FaceReconError: it cannot be read or used.
    """
    content = read_content(path)
    return decode_photo(content, str(path)), sha256_bytes(content)


def decode_photo(content: bytes, name: str) -> Image:
    """A photo's pixels; errors begin with ``name``."""
    try:
        return read_rgb(content)
    except UnreadableImageError as error:
        raise FaceReconError(f"{name}: {error}") from error


def read_content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FaceReconError: it cannot be read, is no file, or is larger than what is read of one.
    """
    try:
        return read_bytes(path.parent, path.name)
    except (OSError, UnreadableImageError) as error:
        raise FaceReconError(f"{path}: {refusal_of(error).reason}") from error


def read_mask(path: Path) -> Mask:
    """A mask from its file; see ``decode_mask``."""
    return decode_mask(read_content(path), str(path))


def decode_mask(content: bytes, name: str) -> Mask:
    """A mask from a picture's bytes: white is hidden, cut at 128, since browsers soften edges; clear is not hidden.

    Raises:
        FaceReconError: it cannot be read, hides nothing, or everything.
    """
    try:
        gray = cv2.cvtColor(read_rgb(content, background="black"), cv2.COLOR_RGB2GRAY)
    except UnreadableImageError as error:
        raise FaceReconError(f"{name}: {error}") from error
    hidden = np.asarray(gray >= 128)
    if not hidden.any():
        raise FaceReconError(
            f"{name}: the mask is empty, its brightest pixel is {gray.max()}: white (from 128) is hidden"
        )
    if hidden.all():
        raise FaceReconError(f"{name}: the mask hides the whole picture: white (from 128) is hidden, black is known")
    return Mask(hidden, sha256_bytes(content))


def check_size(mask: Mask, size: tuple[int, int], name: str) -> None:
    """See that a mask is as large as the picture it is for, as that is shown (turned as its EXIF orientation says)."""
    if mask.hidden.shape != size:
        got, expected = (f"{width} x {height}" for height, width in (mask.hidden.shape, size))
        raise FaceReconError(
            f"{name}: the mask has {got} pixels; expected those of the picture as it is shown, {expected}"
        )


def read_clip(path: Path, tally: Tally, mask: Mask | None = None) -> Iterator[Frame]:
    """The frames of a clip, all of them; ``mask`` hides the same pixels of each.

    Raises:
        FaceReconError: it cannot be read or used, or the mask is of another size.
    """
    try:
        for number, frame in enumerate(read_frames(path, EVERY_FRAME, tally)):
            if mask:
                check_size(mask, frame.image.shape[:2], str(path))
            yield Frame(frame.image, number, frame.time, hidden=mask.hidden if mask else None)
    except UnusableClipError as error:
        raise FaceReconError(f"{path}: {error}") from error
    except OSError as error:
        raise FaceReconError(f"{path}: cannot be read ({error.strerror})") from error


def clip_sha256(path: Path) -> str:
    """The SHA-256 of a clip; of a folder of frames that of its frames' digests in their order.

    Raises:
        FaceReconError: it cannot be read.
    """
    try:
        return clip_digest(path)
    except (OSError, UnusableClipError) as error:
        raise FaceReconError(f"{path}: cannot be read ({error})") from error
