"""What a schedule has done is kept by config."""

import json
from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops.schedule.record import Record, forget_record, read_record, records


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_each_config_has_a_record_of_its_own():
    for name in ("a", "b"):
        assert read_record(Path(f"/{name}.yaml")) is None
        Record(file=f"/{name}.yaml", cron="0 3 * * *", since=1, slot=1).write()
    Record(file="/a.yaml", cron="0 4 * * *", since=1, slot=2, status=0).write()
    assert {record.file: record.cron for record in records()} == {"/a.yaml": "0 4 * * *", "/b.yaml": "0 3 * * *"}
    forget_record(Path("/a.yaml"))
    forget_record(Path("/a.yaml"))
    assert [record.file for record in records()] == ["/b.yaml"]


@pytest.mark.parametrize("content", ["", "text", json.dumps({"version": 2, "file": "/a.yaml"})])
def test_a_damaged_or_later_one_is_one_line(state, content):
    Record(file="/a.yaml", cron="0 3 * * *", since=1, slot=1).write()
    (path,) = (state / "schedules").iterdir()
    path.write_text(content)
    with pytest.raises(FaceReconError, match=f"{path} is damaged, or was written by a later version: remove it"):
        read_record(Path("/a.yaml"))
