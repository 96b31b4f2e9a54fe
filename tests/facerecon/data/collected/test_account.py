"""The ledger as people read it."""

import json
from pathlib import Path

import numpy as np

from facerecon.data.collected.account import people_rows
from facerecon.data.collected.archive import archive_path
from facerecon.data.collected.ledger import ClipRow, Ledger, Person, encoded, track_name
from facerecon.data.containers import write_zip

UNIT = np.eye(4, dtype=np.float32)[0]


def test_a_person_is_told_by_key_with_the_clips_and_seconds_that_show_them(tmp_path: Path) -> None:
    rows, people = {}, {}
    for name, clip in (("yard.mp4", "a" * 64), ("door.mp4", "b" * 64)):
        about = {"number": 1, "first": 2.4, "last": 9.6, "poor": 0, "embedding": UNIT.tolist()}
        faces = [["1/1.png", 1, 2.4, 0.8, [1, 1], [0, 0]]]
        record = {"schema_version": 1, "clip": clip, "tracks": [{**about, "faces": faces}]}
        write_zip(archive_path(tmp_path, clip), [("1/1.png", b""), ("clip.json", json.dumps(record).encode())])
        rows[clip] = ClipRow(name, "2026-11-20T03:00:00", "collected", faces=1)
    rows["c" * 64] = ClipRow("empty.mp4", "2026-11-20T03:00:00", "nothing usable")
    people["d" * 16] = Person(
        "test", tuple(track_name(clip, 1) for clip in ("a" * 64, "b" * 64)), *2 * (encoded(2 * UNIT),)
    )
    people["e" * 16] = Person("train", (), *2 * (encoded(UNIT),))
    assert people_rows(Ledger(rows, people), tmp_path) == [
        ("e" * 16, "train", ""),
        ("d" * 16, "test", "door.mp4 2-10, yard.mp4 2-10"),
    ]
