"""Why a photo is not used: a code, which machines count, and a reason in words for people.

A manifest's digest is over codes, so that a reason may be worded anew; a code, once published, keeps its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from facerecon.images import (
    DamagedImageError,
    HdrImageError,
    TooDarkImageError,
    TooLargeImageError,
    UnreadableImageError,
    UnsupportedFormatError,
)


class Code(StrEnum):
    """All codes, each with its ``meaning``, one line by which a report counts photos."""

    meaning: str

    def __new__(cls, code: str, meaning: str = "") -> "Code":
        """A code and its meaning."""
        member = str.__new__(cls, code)
        member._value_, member.meaning = code, meaning
        return member

    BAD_NAME = "bad_name", "name is not valid UTF-8"
    UNREADABLE = "unreadable", "file cannot be read"
    CHANGED = "changed", "file changed after it was listed"
    NOT_A_FILE = "not_a_file", "not a file"
    TOO_LARGE = "too_large", "photo too large to be read"
    UNDECODABLE = "undecodable", "not an image, or a broken one"
    UNSUPPORTED = "unsupported", "a format that is not read"
    DAMAGED = "damaged", "pixels are damaged"
    TOO_DARK = "too_dark", "all but black: the range of its values is not stated"
    HDR = "hdr", "high dynamic range that cannot be shown in the standard range"
    OUT_OF_ROOT = "out_of_root", "a link that leads out of the root"
    BAD_ARCHIVE = "bad_archive", "archive cannot be used"
    BAD_MEMBER = "bad_member", "file in an archive cannot be used"
    BAD_CLIP = "bad_clip", "clip cannot be used"
    BAD_TRUTH = "bad_truth", "what the source has beside the photo cannot be used"
    NOT_LISTED = "not_listed", "the source's lists do not say who it is"
    FORGOTTEN = "forgotten", "forgotten on request"
    RECONSTRUCTED = "reconstructed", "marked as reconstructed or restored: no photograph"
    MAY_BE_KNOWN = "may_be_known", "may show somebody of another split"
    LEFT_EVALUATION = "left_evaluation", "shows somebody who is in an earlier split, too"
    DUPLICATE = "duplicate", "same bytes as another photo"
    NEAR_DUPLICATE = "near_duplicate", "near-duplicate of a photo in another split"
    NO_FACE = "no_face", "no face found"
    NO_FACE_AT_ANCHOR = "no_face_at_anchor", "no face found where the source says that there is one"
    SEVERAL_FACES = "several_faces", "several faces found"
    TOO_SMALL = "too_small", "face too small"
    NOT_ALIGNED = "not_aligned", "not a crop of the template that the source names"
    CUT_OFF = "cut_off", "face cut off"
    UNKNOWN = "unknown", "quarantined before there were codes"


COLUMNS = ("source", "uri", "code", "reason")
"""Of a manifest's quarantine table; ``uri`` is relative to the root of ``source``."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a photo is not used. ``reason`` names no place on this machine."""

    code: Code
    reason: str


class RefusedError(UnreadableImageError):
    """A photo cannot be used, for a reason with a code of its own."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def refusal_of(error: OSError | UnreadableImageError) -> Refusal:
    """The refusal that an error in reading a photo stands for."""
    match error:
        case RefusedError():
            return Refusal(error.code, str(error))
        case OSError():
            return Refusal(Code.UNREADABLE, f"cannot be read: {error.strerror}")
        case TooLargeImageError():
            return Refusal(Code.TOO_LARGE, str(error))
        case UnsupportedFormatError():
            return Refusal(Code.UNSUPPORTED, str(error))
        case DamagedImageError():
            return Refusal(Code.DAMAGED, str(error))
        case TooDarkImageError():
            return Refusal(Code.TOO_DARK, str(error))
        case HdrImageError():
            return Refusal(Code.HDR, str(error))
    return Refusal(Code.UNDECODABLE, str(error))


def quarantine_table(refused: Iterable[tuple[str, str, Refusal]]) -> pd.DataFrame:
    """Rows of (source, uri, refusal) as a table of ``COLUMNS``."""
    rows = [(source, uri, refusal.code.value, refusal.reason) for source, uri, refusal in refused]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)


def completed(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """A quarantine table as it was stored; one of before there were codes gets the code "unknown" and its source."""
    return table if "code" in table else table.assign(source=source, code=Code.UNKNOWN.value)[list(COLUMNS)]
