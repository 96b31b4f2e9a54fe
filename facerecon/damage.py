"""Damage in a picture's data that its decoder passes over: what can be told of it, by format.

JPEG: libjpeg's warnings. PNG: checksums. WebP: data that its pixels do not need. AVIF: a strict decoder. TIFF packed by
LZW or deflate: strips that do not unpack to their size. What else there is cannot be seen: of pixels that are not
packed any are as good. ``benchmarks/damage.py`` measures the share that is told.
"""

import os
import re
import sys
import threading
import zlib
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STDERR = threading.Lock()

_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(\w+)")

_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"iCCP", b"gAMA", b"cHRM", b"sBIT", b"cICP"))
"""Chunks of a PNG that decide what its pixels look like."""

_SPARE = 16
"""So many bytes may follow a WebP's last symbol: encoders fill up the last word."""


def decode_jpeg(content: bytes) -> tuple[NDArray[np.uint8] | None, str]:
    """The pixels of a JPEG of gray or RGB, uint8 [H, W, 3], not turned, and what libjpeg warned of, or "".

    None for what OpenCV does not decode, which may be intact: Pillow knows more variants.
    """
    encoded = np.frombuffer(content, np.uint8)
    with _STDERR:
        said, pixels = _listened(encoded)
    for line in said:
        if (found := _EXTRANEOUS.match(line)) and _harmless(content, int(found[1]), int(found[2], 16)):
            continue
        if line.startswith(("Corrupt JPEG data", "Premature end of JPEG file")):
            return pixels, line.partition(": ")[2] or line
    return pixels, ""


def _listened(encoded: NDArray[np.uint8]) -> tuple[list[str], NDArray[np.uint8] | None]:
    """Decode while listening to file descriptor 2, the only place where OpenCV lets libjpeg's warnings go."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        return [], _decoded(encoded)
    ear, mouth = os.pipe()
    try:
        os.set_blocking(ear, False)
        os.set_blocking(mouth, False)
        os.dup2(mouth, 2)
        try:
            pixels = _decoded(encoded)
        finally:
            os.dup2(kept, 2)
        try:
            said = os.read(ear, 1 << 16)
        except BlockingIOError:
            return [], pixels
    finally:
        for descriptor in (kept, ear, mouth):
            os.close(descriptor)
    lines = said.decode(errors="replace").splitlines(keepends=True)
    others = [line for line in lines if "JPEG" not in line]  # another thread's
    if others and sys.stderr:
        sys.stderr.writelines(others)
    return [line.strip() for line in lines if "JPEG" in line], pixels


def _decoded(encoded: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _harmless(content: bytes, count: int, marker: int) -> bool:
    """Whether bytes that libjpeg has passed over before a marker hold no pixel.

    They fill up the last bytes of the data, or lie between the segments of the header.
    """
    end = content.rfind(bytes([0xFF, marker]))
    if end >= count and not content[end - count : end].strip(b"\0\xff"):
        return True
    at = 2
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != b"\xda":
        filling = content[at + 1 : at + 2] == b"\xff"
        at += 1 if filling else 2 + int.from_bytes(content[at + 2 : at + 4])
    return content[at : at + 1] != b"\xff"


def damage_in(image: Image.Image, content: bytes) -> str:
    """What is wrong with the data of a picture that was opened from ``content``; "" if nothing can be told."""
    match image.format:
        case "PNG":
            return _of_png(content)
        case "WEBP":
            return _of_webp(content)
        case "TIFF":
            return _of_tiff(image, content)
        case "AVIF":
            return _of_avif(content)
    return ""


def _of_png(content: bytes) -> str:
    view, at = memoryview(content), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(view[at : at + 4])
        name = bytes(view[at + 4 : at + 8])
        if end + 4 > len(content) or name == b"IEND":
            break
        if name in _PIXEL_CHUNKS and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            return f"wrong checksum of {name.decode()}"
        at = end + 4
    return ""


def _of_webp(content: bytes) -> str:
    """What can still be decoded when the end of a part of its data is gone did not need it: its decoder was misled."""
    at = 12
    while at + 8 <= len(content):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        data = content[at + 8 : at + 8 + length]
        if name in (b"VP8 ", b"VP8L"):
            shorter = [data[:-_SPARE]]
            if name == b"VP8 ":
                # three bytes hold the length of the first part, which follows ten bytes of header
                first, flags = divmod(int.from_bytes(data[:3], "little"), 32)
                if first > 2 * _SPARE:
                    tag = (first - _SPARE) * 32 + flags
                    head = tag.to_bytes(3, "little") + data[3 : 10 + first - _SPARE]
                    shorter.append(head + data[10 + first :])
                if length - 10 - first <= 2 * _SPARE:
                    del shorter[0]
            needless = length > 2 * _SPARE and any(_is_webp(name, each) for each in shorter)
            return "data that its pixels do not need" if needless else ""
        at += 8 + length + length % 2
    return ""


def _is_webp(name: bytes, data: bytes) -> bool:
    chunk = name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    content = b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"WEBP" + chunk
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is not None


def _of_avif(content: bytes) -> str:
    """Strict decoders ask for the right bits behind the last symbol; what fails then, and only then, is damaged."""
    if _decodes_avif(content, strict=True) or not _decodes_avif(content, strict=False):
        return ""
    return "wrong bits after its last pixel"


def _decodes_avif(content: bytes, strict: bool) -> bool:
    import av  # imported when it is used: it brings all video decoders

    try:
        with av.open(BytesIO(content), "r") as container:
            stream = container.streams.video[0]
            if strict:
                stream.codec_context.options = {"strict": "strict", "err_detect": "explode"}
            return any(True for _ in container.decode(stream))
    except (av.FFmpegError, IndexError):
        return False


_LZW, _DEFLATE = (5,), (8, 32946)
_YCBCR = 6
_RISE = (254, 766, 1790)
"""From so many codes since the last reset of its table on, LZW's codes have 10, 11 and 12 bits."""

_MOST_CODES = 4096


def _of_tiff(image: Image.Image, content: bytes) -> str:
    """Whether each strip or tile unpacks to as many bytes as it holds."""
    tags = getattr(image, "tag_v2", {})
    compression = tags.get(259, 1)
    if compression not in (*_LZW, *_DEFLATE) or tags.get(262) == _YCBCR:
        return ""
    width, height = tags[256], tags[257]
    rows, across = min(tags.get(278, height), height), width
    if 324 in tags:
        across, rows = tags[322], tags[323]
    bits = tags.get(258, (1,))
    bits_together = sum(bits) if tags.get(284, 1) == 1 else bits[0]
    line = -(-across * bits_together // 8)
    full, last = rows * line, (height % rows or rows) * line
    starts, lengths = (tags[324], tags[325]) if 324 in tags else (tags[273], tags[279])
    for offset, length in zip(starts, lengths, strict=True):
        packed = content[offset : offset + length]
        size = _deflated(packed, full) if compression in _DEFLATE else _lzw_size(packed)
        if size is not None and size not in (full, last):
            return "a strip that does not unpack to its size"
    return ""


def _deflated(packed: bytes, most: int) -> int:
    """The size of what is packed by deflate, -1 where its checksum is wrong."""
    unpacking = zlib.decompressobj()
    try:
        size = len(unpacking.decompress(packed, most + 1))
        return size if unpacking.eof or not unpacking.decompress(unpacking.unconsumed_tail, 1) else -1
    except zlib.error:
        return -1


def _lzw_size(packed: bytes) -> int | None:
    """The size of what is packed by TIFF's LZW, -1 for a code that its table does not hold yet; None for LZW of before
    TIFF 6. Codes are read by the table's worth: their widths are known, but not where the table starts anew."""
    bits = np.concatenate([np.frombuffer(packed, np.uint8), np.zeros(4, np.uint8)]).astype(np.uint32)
    words = bits[:-3] << 24 | bits[1:-2] << 16 | bits[2:-1] << 8 | bits[3:]
    position, total, numbers = 0, 0, np.arange(_MOST_CODES)
    widths = 9 + np.searchsorted(_RISE, numbers, side="right")
    starts = np.concatenate([[0], np.cumsum(widths)])
    if not len(packed) or words[0] >> 23 != 256:
        return None
    position = 9
    while True:
        count = int(np.searchsorted(position + starts[1:], 8 * len(packed), side="right"))
        places = position + starts[:count]
        codes = (
            words[places >> 3] << (places & 7).astype(np.uint32) >> (32 - widths[:count]).astype(np.uint32)
        ).astype(int)
        ends = np.flatnonzero((codes == 256) | (codes == 257))
        used = int(ends[0]) if len(ends) else count
        found = codes[:used]
        if (found > 257 + numbers[:used]).any():
            return -1
        total += _unpacked(found)
        if not len(ends) or codes[used] == 257:
            return total
        position += int(starts[used + 1])


def _unpacked(codes: NDArray[np.int_]) -> int:
    """How many bytes the codes since a reset stand for: one that is no byte is the code that it names, and a byte."""
    parents = np.where(codes < 256, np.arange(len(codes)), codes - 258)
    steps = (codes >= 256).astype(int)
    while steps[parents].any():
        steps, parents = steps + steps[parents], parents[parents]
    return int(len(codes) + steps.sum())
