"""Reading photographs of any format, mode, colour space and orientation as RGB."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from facerecon.colour import HDR_TRANSFERS, code_points, space_of, to_srgb
from facerecon.damage import damage_in, decode_jpeg
from facerecon.formats import HEAD_BYTES, Kind, format_of

MAX_PIXELS = 100_000_000
"""Photos with more pixels are refused: a decompression bomb must not eat the memory."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF")
"""What is opened, whatever a file is named: Pillow hands some other formats to outside programs (Ghostscript)."""

# its remarks on odd metadata name files of this machine; set once, because catch_warnings is not safe in threads
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImageError(Exception):
    """This photo cannot be used; the message is the reason that the quarantine list gives."""


class TooLargeImageError(UnreadableImageError):
    """It has too many pixels."""


class UnsupportedFormatError(UnreadableImageError):
    """It is of a format that is not read."""


class DamagedImageError(UnreadableImageError):
    """Its pixels, or some of them, are not those that were written."""


class TooDarkImageError(UnreadableImageError):
    """Its values use a small part of their range, and the file does not say which."""


class HdrImageError(UnreadableImageError):
    """It is of high dynamic range."""


def read_rgb(photo: Path | bytes, background: str = "white") -> NDArray[np.uint8]:
    """A photo, given as its path or its bytes, as uint8 [H, W, 3] in sRGB, turned as its EXIF orientation says.

    Of several frames the first is read. Any mode becomes RGB, any colour space that the file states sRGB; transparent
    pixels are laid on ``background``; 0 is black, also where the file counts from white. Deeper pixels are scaled to 8
    bits from the range that the file states (sBIT, MaxSampleValue, bits a sample), floating point from 0 to 1, 255 or
    65535.

    Raises:
        UnreadableImageError: no image, a damaged one, one of a format that is not read, of high dynamic range, larger
            than MAX_PIXELS, or of 16 bits of which it uses less than 15 with no word about it.
    """
    with _readable():
        content = photo.read_bytes() if isinstance(photo, Path) else photo
        with _opened(content) as image:
            profile = space_of(image, content)
            if image.format in ("JPEG", "MPO"):
                return _jpeg(image, content, profile)
            with _decoding():
                # the decoder of TIFF turns the image itself, and says so in the orientation, when it has loaded
                image.load()
            if damage := damage_in(image, content):
                raise DamagedImageError(f"damaged: {damage}")
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            return np.array(_finished(_shallow(image, content), orientation, profile, background))


def check_header(photo: bytes, most: int = MAX_PIXELS) -> None:
    """Refuse what its first bytes show to be no image that is read, or one of more than ``most`` pixels; no pixel is
    decoded.

    Raises:
        UnreadableImageError: with the reason.
    """
    with _readable(), _opened(photo) as image:
        if image.width * image.height > most:
            raise TooLargeImageError(
                f"too large: {image.width}x{image.height} pixels, at most {most / 1e6:g} million are taken"
            )


def image_size(photo: Path) -> tuple[int, int]:
    """Width and height in pixels as the header says them.

    Raises:
        OSError: the file cannot be read.
        UnreadableImageError: no image.
    """
    with _readable(), _opened(photo.read_bytes()) as image:
        return image.size


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    found = format_of(content[:HEAD_BYTES])
    if found and (found.kind != Kind.PICTURE or not found.read):
        raise UnsupportedFormatError(
            f"no photo but {found.name}" if found.read else f"a format that is not read: {found.name}"
        )
    _register_heif()
    try:
        image = Image.open(BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError as error:
        # Pillow's message holds the path, which must not come into the list: the list is part of a digest
        raise UnreadableImageError(
            f"cannot be decoded: {f'a broken {found.name}' if found else 'not an image'}"
        ) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise TooLargeImageError(f"too large: {image.width}x{image.height} pixels")
        if image.format == "TIFF" and _is_raw(image):
            raise UnsupportedFormatError("a format that is not read: camera raw")
        codes = code_points(image.format or "", content)
        if codes and (curve := HDR_TRANSFERS.get(codes[1])) and "icc_profile" not in image.info:
            raise HdrImageError(f"high dynamic range ({curve})")
        yield image


@cache
def _register_heif() -> None:
    """Let Pillow read HEIF; its decoder is loaded with the first photo, and never where only crops are read."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def _is_raw(image: Image.Image) -> bool:
    """Whether a TIFF is a camera's raw file (DNG, NEF, ARW): what Pillow would read is a small preview."""
    tags = getattr(image, "tag_v2", {})
    return (
        _DNG_VERSION in tags or bool(tags.get(_SUBFILE, 0) & 1 and _SUBIFDS in tags) or tags.get(_POLARITY) in _SENSOR
    )


_DNG_VERSION, _SUBFILE, _SUBIFDS, _BITS, _POLARITY, _MAX_SAMPLE = 50706, 254, 330, 258, 262, 281
"""Tags of TIFF."""

_SENSOR = (32803, 34892)
"""Photometric interpretations of a sensor's own values."""


@contextmanager
def _readable() -> Iterator[None]:
    """Whatever goes wrong in a decoder becomes the reason why the photo cannot be used."""
    try:
        yield
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeImageError("too large: decompression bomb") from error
    except OSError as error:
        raise UnreadableImageError(f"cannot be decoded: {error.strerror or error}") from error
    except Exception as error:
        # decoders and EXIF readers let any kind of error pass when a file is broken: struct.error, TypeError, ...
        raise UnreadableImageError(f"cannot be decoded: {error}") from error


@contextmanager
def _decoding() -> Iterator[None]:
    """A picture whose header could be read is damaged if its pixels cannot, unless its decoder says that it cannot."""
    try:
        yield
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        if _NOT_ABLE.search(str(error)):
            raise
        raise DamagedImageError(f"damaged: {error}") from error


_NOT_ABLE = re.compile(r"support|implement|available|unknown|found", re.IGNORECASE)


def _jpeg(image: Image.Image, content: bytes, profile: bytes) -> NDArray[np.uint8]:
    pixels, damage = decode_jpeg(content)
    if damage:
        raise DamagedImageError(f"damaged: {damage}")
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if pixels is None or image.mode not in ("L", "RGB") or pixels.shape[:2] != (image.height, image.width):
        with _decoding():
            image.load()
        return np.array(_finished(image, orientation, profile))
    if not profile and orientation not in _TURNS:
        return pixels
    return np.array(_finished(Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels), orientation, profile))


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


def _finished(image: Image.Image, orientation: int, profile: bytes, background: str = "white") -> Image.Image:
    """An image of 8 bits a channel, in RGB, turned, in sRGB, laid on ``background``.

    ``ImageOps.exif_transpose`` would also write the EXIF data anew, and fails where some of it is odd.
    """
    turn = _TURNS.get(orientation)
    if turn is not None:
        image = image.transpose(turn)
    if not image.has_transparency_data:
        if image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("RGB")
        return to_srgb(image, profile).convert("RGB")
    clear = image.convert("RGBA")
    opaque = image.getchannel("L") if image.mode == "LA" else clear.convert("RGB")
    shown = to_srgb(opaque, profile).convert("RGB")
    shown.putalpha(clear.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", shown.size, background), shown).convert("RGB")


def _shallow(image: Image.Image, content: bytes) -> Image.Image:
    """An image of 8 bits a channel: more bits, and floating point, are scaled from the range that is meant."""
    if image.mode != "F" and not image.mode.startswith("I"):
        # Pillow has kept the upper halves already
        if _bits(image, content) == 16 and (brightest := int(image.convert("L").getextrema()[1])) < 64:  # type: ignore[arg-type]
            raise _too_dark(brightest * 256)
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    most = float(values.max(initial=0))
    top = _stated_range(image, content, most)
    if not top and image.mode == "F":
        top = next((each for each in (1.0, 255.0, 65535.0) if most <= 2 * each), most)
    elif not top:
        top = 255.0 if image.mode == "I" and most <= 255 else 65535.0 if most <= 65535 else 2.0**31 - 1
    if top == 65535 and most < 2**14:
        raise _too_dark(int(most))
    shares = np.clip(values / np.float32(top), 0, 1)
    if getattr(image, "tag_v2", {}).get(_POLARITY) == 0:
        shares = 1 - shares
    return Image.fromarray((shares * 255).round().astype(np.uint8))


def _stated_range(image: Image.Image, content: bytes, most: float) -> float:
    """The largest value of a gray image of which ``most`` is the largest there is, as the file states it, or 0."""
    if image.format == "PNG":
        at = content[: content.find(b"IDAT")].find(b"\0\0\0\x01sBIT")
        top = 2.0 ** content[at + 8] - 1 if at > 0 else 0.0
        return top if most <= top else 0.0  # larger ones are scaled to all bits already
    tags = getattr(image, "tag_v2", {})
    bits = _bits(image, content)
    top = float(max(np.ravel(tags.get(_MAX_SAMPLE, 0))))
    # it is meant as the largest value that was found, which is no range, unless it is one of so many bits
    if most <= top and (np.log2(top + 1).is_integer() or most < 2**14) and image.mode != "F":
        return top
    return 2.0**bits - 1 if 8 < bits < 16 else 0.0


def _bits(image: Image.Image, content: bytes) -> int:
    if image.format == "PNG":
        return content[24]
    return int(getattr(image, "tag_v2", {}).get(_BITS, (8,))[0])


def _too_dark(most: int) -> TooDarkImageError:
    bits = next(bits for bits in (8, 10, 12, 14) if most < 2**bits)
    return TooDarkImageError(f"too dark ({bits}-bit data?): of 16 bits it uses {bits}, and does not say so")


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The bytes of uint8 [H, W, 3] or [H, W] as a PNG without metadata."""
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()
