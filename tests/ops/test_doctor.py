"""The doctor names a schedule that has not ended well for two periods, and pretrained weights that are missing."""

from dataclasses import replace
from datetime import datetime

import pytest

from facerecon import weights
from facerecon.errors import FaceReconError
from ops import doctor
from ops.doctor import Finding
from ops.schedule.record import Record


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture(autouse=True)
def now(tmp_path, monkeypatch):
    """A state folder of its own, at noon of 10 June."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(doctor.time, "time", lambda: at("2026-06-10T12:00"))


def found() -> Finding:
    return doctor._schedule()


def record(since: str, finished: str | None = None, status: int | None = None) -> Record:
    end = finished and at(finished)
    return Record(file="/a.yaml", cron="0 3 * * *", since=at(since), slot=at(since), finished=end, status=status)


def test_without_a_schedule_nothing_is_missing():
    assert (found().outcome, found().seen) == ("ok", "none is kept")


@pytest.mark.parametrize(
    "kept",
    [
        record("2026-06-01T12:00", "2026-06-10T03:20", 0),
        record("2026-06-01T12:00", "2026-06-09T03:20", 1),  # it failed once
        record("2026-06-09T12:00"),  # it is new
    ],
)
def test_one_that_has_ended_well_lately_is_well(kept):
    kept.write()
    assert (found().outcome, found().seen) == ("ok", "1 kept")


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (record("2026-06-01T12:00", "2026-06-08T03:20", 3), "Mon 2026-06-08 03:20, exit status of the last run 3"),
        (record("2026-06-01T12:00"), "no run has ended well since Mon 2026-06-01 12:00"),
    ],
)
def test_one_that_has_not_for_two_periods_is_named(kept, said):
    kept.write()
    assert found().outcome == "bad"
    assert found().seen.startswith("/a.yaml, 0 3 * * *: ")
    assert found().seen.endswith(said)
    assert "facerecon schedule show" in found().fix


@pytest.mark.parametrize(("optional", "outcome"), [(True, "ok"), (False, "bad")])
def test_weights_that_are_optional_are_not_missing(tmp_path, monkeypatch, optional, outcome):
    monkeypatch.setenv("FACERECON_WEIGHTS", str(tmp_path))
    row = weights._TABLE["face_landmarker"]
    monkeypatch.setattr(weights, "_TABLE", {row.name: replace(row, optional=optional)})
    assert doctor._weights().outcome == outcome


def test_a_damaged_file_of_optional_weights_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_WEIGHTS", str(tmp_path))
    row = weights._TABLE["face_landmarker"]
    monkeypatch.setattr(weights, "_TABLE", {row.name: replace(row, optional=True)})
    (tmp_path / row.file).write_bytes(b"not a network")
    with pytest.raises(FaceReconError, match="facerecon weights face_landmarker"):
        doctor._weights()
