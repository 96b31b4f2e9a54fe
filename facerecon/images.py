"""Reading photographs of any mode and orientation as RGB."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000
"""Photos with more pixels are refused: a decompression bomb must not eat the memory."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is opened, whatever a file is named: Pillow hands some other formats to outside programs (Ghostscript)."""

# its remarks on odd metadata name files of this machine; set once, because catch_warnings is not safe in threads
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImageError(Exception):
    """This photo cannot be used; the message is the reason that the quarantine list gives."""


class TooLargeImageError(UnreadableImageError):
    """It has too many pixels."""


def read_rgb(photo: Path | bytes) -> NDArray[np.uint8]:
    """A photo, given as its path or its bytes, as uint8 [H, W, 3], turned as its EXIF orientation says.

    Any mode becomes RGB; transparent pixels are laid on white; 16 bits are scaled to 8, and floating
    point from 0 to 1, or else from 0 to 255.

    Raises:
        UnreadableImageError: no image, a broken one, or one larger than MAX_PIXELS.
    """
    with _readable(), Image.open(_stream(photo), formats=_FORMATS) as image:
        _check_size(image)
        return _to_rgb(_upright(image))


def check_header(photo: bytes) -> None:
    """Refuse what its first bytes show to be no image, or one that is too large; its pixels are not decoded.

    Raises:
        UnreadableImageError: with the reason.
    """
    with _readable(), Image.open(_stream(photo), formats=_FORMATS) as image:
        _check_size(image)


def image_size(photo: Path | bytes) -> tuple[int, int]:
    """Width and height in pixels as the header says them.

    Raises:
        UnreadableImageError: no image.
    """
    with _readable(), Image.open(_stream(photo), formats=_FORMATS) as image:
        return image.size


def _stream(photo: Path | bytes) -> Path | BytesIO:
    return BytesIO(photo) if isinstance(photo, bytes) else photo


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise TooLargeImageError(f"too large: {image.width}x{image.height} pixels")


@contextmanager
def _readable() -> Iterator[None]:
    """Whatever goes wrong in a decoder becomes the reason why the photo cannot be used."""
    try:
        yield
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeImageError("too large: decompression bomb") from error
    except UnidentifiedImageError as error:
        # Pillow's message holds the path, which must not come into the list: the list is part of a digest
        raise UnreadableImageError("cannot be decoded: not an image") from error
    except OSError as error:
        raise UnreadableImageError(f"cannot be decoded: {error.strerror or error}") from error
    except Exception as error:
        # decoders and EXIF readers let any kind of error pass when a file is broken: struct.error, TypeError, ...
        raise UnreadableImageError(f"cannot be decoded: {error}") from error


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says.

    ``ImageOps.exif_transpose`` would also write the EXIF data anew, and fails where some of it is odd.
    """
    image.load()  # the decoder of TIFF turns the image itself, and says so in the orientation, when it has loaded
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        gray = np.clip(values * (255 if values.max(initial=0) <= 1 else 1), 0, 255).round().astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        gray = np.clip(values / 257 if deep else values, 0, 255).round().astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    return np.array(image.convert("RGB"))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The bytes of uint8 [H, W, 3] or [H, W] as a PNG without metadata."""
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()
