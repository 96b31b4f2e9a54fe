"""The doctor names a schedule that has not ended well for two periods."""

from datetime import datetime

import pytest

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
