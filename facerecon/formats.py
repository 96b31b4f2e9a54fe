"""What a file is by its content: its first bytes tell a picture, a clip or an archive; names are no proof.

Signatures are those of the formats' specifications; a format that is known but not read can be named to the user.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

HEAD_BYTES = 1024
"""So many of a file's first bytes are looked at."""


class Kind(StrEnum):
    """What a file holds."""

    PICTURE = "picture"
    CLIP = "clip"
    ARCHIVE = "archive"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Format:
    """A format's name and kind; ``read`` is whether this project reads it."""

    name: str
    kind: Kind
    read: bool = True


def _picture(name: str, read: bool = True) -> Format:
    return Format(name, Kind.PICTURE, read)


def _clip(name: str, read: bool = True) -> Format:
    return Format(name, Kind.CLIP, read)


def _archive(name: str, read: bool = True) -> Format:
    return Format(name, Kind.ARCHIVE, read)


_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (rb"\xff\xd8\xff", _picture("JPEG")),
    (rb"\x89PNG\r\n\x1a\n", _picture("PNG")),
    (rb"GIF8[79]a", _picture("GIF")),
    (rb"RIFF....WEBP", _picture("WebP")),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", _picture("BMP")),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _picture("JPEG 2000")),
    (rb".{4}ftyp(avif|avis)", _picture("AVIF")),
    (rb".{4}ftyp(hei[cfmsx]|hev[cmsx]|mif1|msf1)", _picture("HEIF")),
    (rb"(II\x2a\0|MM\0\x2a).{4}CR", _picture("camera raw", read=False)),
    (rb".{4}ftypcrx |IIRO|IIRS|IIU\0|FUJIFILMCCD-RAW|\0MRM", _picture("camera raw", read=False)),
    (rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", _picture("TIFF")),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _picture("JPEG XL", read=False)),
    (rb"II\xbc", _picture("JPEG XR", read=False)),
    (rb"8BP[SB]", _picture("Photoshop", read=False)),
    (rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s|P7\nWIDTH|P[Ff]\n\d+ \d+\n", _picture("PNM", read=False)),
    (rb"\x76\x2f\x31\x01", _picture("OpenEXR", read=False)),
    (rb"#\?(RADIANCE|RGBE)\n", _picture("Radiance HDR", read=False)),
    (rb"\0\0[\x01\x02]\0[\x01-\xff]\0.{4}", _picture("icon", read=False)),
    (rb"[\0-\x08].{3}ftyp", _clip("MP4")),
    (rb"[\0-\x08].{3}(moov|mdat|wide|skip|free|pnot)", _clip("QuickTime")),
    (rb"\x1a\x45\xdf\xa3", _clip("Matroska")),
    (rb"RIFF....AVI ", _clip("AVI")),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _clip("ASF")),
    (rb"FLV\x01", _clip("FLV")),
    (rb"\0\0\x01[\xba\xb3]", _clip("MPEG")),
    (rb"\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47.{191}\x47", _clip("MPEG transport stream")),
    (rb"OggS", _clip("Ogg")),
    (rb"\0{2,3}\x01(\x06|[\x27\x47\x67]|\x09)", _clip("H.264")),
    (rb"\0{2,3}\x01[\x40\x42\x46]\x01", _clip("H.265")),
    (rb"DHAV|DAHUA", _clip("DAV")),
    (rb"\.RMF", _clip("RealMedia", read=False)),
    (
        rb"PK\x03\x04.{26}(mimetype|\[Content_Types\]|word/|xl/|ppt/|docProps/|META-INF/)",
        Format("document", Kind.DOCUMENT, read=False),
    ),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08|00PK)", _archive("zip")),
    (rb".{257}ustar", _archive("tar")),
    (rb"\x1f\x8b", _archive("gzip")),
    (rb"BZh[1-9]", _archive("bzip2")),
    (rb"\xfd7zXZ\0", _archive("xz")),
    (rb"\x5d\0\0.{2}\0{3}", _archive("lzma")),
    (rb"7z\xbc\xaf\x27\x1c", _archive("7z", read=False)),
    (rb"Rar!\x1a\x07", _archive("RAR", read=False)),
    (rb"\x28\xb5\x2f\xfd", _archive("Zstandard", read=False)),
    (rb"\x04\x22\x4d\x18", _archive("LZ4", read=False)),
    (rb"\x1f[\x9d\xa0]", _archive("compress", read=False)),
    (rb"MSCF\0\0\0\0", _archive("cabinet", read=False)),
)

_PATTERNS = tuple((re.compile(pattern, re.DOTALL), found) for pattern, found in _SIGNATURES)


def format_of(head: bytes) -> Format | None:
    """The format that a file's first HEAD_BYTES show; None for what is no picture, clip or archive."""
    return next((found for pattern, found in _PATTERNS if pattern.match(head)), None)


def head_of(path: Path) -> bytes:
    """The first HEAD_BYTES of a file, for ``format_of``."""
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)
