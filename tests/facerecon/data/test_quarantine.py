"""Codes of what is quarantined: short, told apart, each with a meaning; older tables and shards are still read."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from facerecon.data.quarantine import COLUMNS, Code, Refusal, RefusedError, completed, quarantine_table, refusal_of
from facerecon.data.store import FaceStore
from facerecon.files import sha256_bytes
from facerecon.images import (
    DamagedImageError,
    HdrImageError,
    TooDarkImageError,
    TooLargeImageError,
    UnreadableImageError,
    UnsupportedFormatError,
)


def test_codes_are_words_for_machines_and_meanings_are_told_apart() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code.value) for code in Code)
    assert all(code.meaning and "\n" not in code.meaning for code in Code)
    assert len({code.meaning for code in Code}) == len(Code)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (FileNotFoundError(2, "No such file"), Refusal(Code.UNREADABLE, "cannot be read: No such file")),
        (UnreadableImageError("cannot be decoded: text"), Refusal(Code.UNDECODABLE, "cannot be decoded: text")),
        (UnsupportedFormatError("JPEG XL"), Refusal(Code.UNSUPPORTED, "JPEG XL")),
        (DamagedImageError("damaged"), Refusal(Code.DAMAGED, "damaged")),
        (TooDarkImageError("too dark"), Refusal(Code.TOO_DARK, "too dark")),
        (HdrImageError("PQ"), Refusal(Code.HDR, "PQ")),
        (TooLargeImageError("too large: 1x1 pixels"), Refusal(Code.TOO_LARGE, "too large: 1x1 pixels")),
        (RefusedError(Code.BAD_MEMBER, "encrypted"), Refusal(Code.BAD_MEMBER, "encrypted")),
    ],
)
def test_what_cannot_be_read_has_a_code(error: OSError | UnreadableImageError, refusal: Refusal) -> None:
    assert refusal_of(error) == refusal


def test_a_table_without_codes_is_read_and_its_rows_are_unknown() -> None:
    old = pd.DataFrame({"uri": ["a.png"], "reason": ["no face found"]}, dtype=str)
    assert completed(old, "lfw").to_numpy().tolist() == [["lfw", "a.png", "unknown", "no face found"]]
    assert list(completed(old.iloc[:0], "lfw").columns) == list(COLUMNS)
    new = quarantine_table([("lfw", "a.png", Refusal(Code.NO_FACE, "no face found"))])
    assert completed(new, "folder").equals(new)


def test_a_shard_without_codes_is_read(tmp_path: Path) -> None:
    """As `facerecon forget` does in stores that were written before there were codes."""
    content = save({"crop": np.zeros((0, 8, 8, 3), np.uint8)}, {"photos": '[["%s",0,"no face found"]]' % ("0" * 64)})
    (tmp_path / f"{sha256_bytes(content)}.safetensors").write_bytes(content)
    assert FaceStore(tmp_path).refusal("0" * 64) == Refusal(Code.UNKNOWN, "no face found")
