"""Slots are times on the wall: each is due once, be the clock set forward or back."""

import os
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from facerecon.errors import FaceReconError
from ops.schedule.cron import Cron

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def slots(cron: str, start: str, count: int, zone: ZoneInfo | None = BERLIN) -> list[str]:
    """The next slots after a moment, in UTC."""
    parsed, now, found = Cron.parse(cron, zone), at(start), []
    for _ in range(count):
        now = parsed.next(now)
        assert parsed.due(now) == now
        assert parsed.due(now + 0.5) == now
        assert parsed.due(now - 0.5) < now
        found.append(datetime.fromtimestamp(now, ZoneInfo("UTC")).strftime("%d %H:%M"))
    return found


def test_a_slot_is_in_local_time():
    assert slots("0 3 * * *", "2026-06-01T00:00+02:00", 2) == ["01 01:00", "02 01:00"]
    assert slots("0 3 * * *", "2026-12-01T00:00+01:00", 2) == ["01 02:00", "02 02:00"]


def test_a_time_that_the_clock_shows_twice_is_due_once():
    # on 25 October 03:00 becomes 02:00 at 01:00 UTC
    assert slots("30 2 * * *", "2026-10-24T12:00+02:00", 3) == ["25 00:30", "26 01:30", "27 01:30"]
    assert slots("*/30 * * * *", "2026-10-25T01:40+02:00", 4) == ["25 00:00", "25 00:30", "25 02:00", "25 02:30"]


def test_between_the_two_times_the_first_one_is_the_latest():
    cron = Cron.parse("*/15 * * * *", BERLIN)
    assert cron.due(at("2026-10-25T02:20+01:00")) == at("2026-10-25T02:45+02:00")


def test_a_time_that_the_clock_leaves_out_is_due_when_it_is_set_forward():
    # on 29 March 02:00 becomes 03:00 at 01:00 UTC
    assert slots("30 2 * * *", "2026-03-28T12:00+01:00", 3) == ["29 01:00", "30 00:30", "31 00:30"]
    assert slots("*/20 2,3 * * *", "2026-03-29T00:00+01:00", 4) == ["29 01:00", "29 01:20", "29 01:40", "30 00:00"]


def test_other_zones_set_the_clock_at_other_times():
    # Lord Howe by half an hour, at 02:00; Havana at midnight
    assert slots("15 2 * * *", "2026-10-03T12:00+10:30", 2, ZoneInfo("Australia/Lord_Howe")) == ["03 15:30", "04 15:15"]
    assert slots("30 0 * * *", "2026-03-07T12:00-05:00", 2, ZoneInfo("America/Havana")) == ["08 05:00", "09 04:30"]


def test_without_a_zone_the_machines_is_taken(monkeypatch):
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert slots("30 2 * * *", "2026-10-24T12:00+02:00", 2, None) == ["25 00:30", "26 01:30"]
        assert slots("30 2 * * *", "2026-03-28T12:00+01:00", 2, None) == ["29 01:00", "30 00:30"]
    finally:
        monkeypatch.setenv("TZ", before) if before else monkeypatch.delenv("TZ")
        time.tzset()


def test_slots_that_have_passed_are_counted():
    cron = Cron.parse("0 * * * *", BERLIN)
    start = at("2026-06-01T03:00+02:00")
    assert cron.count(start, start + 3599) == 0
    assert cron.count(start, start + 3 * 3600) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns"),
        ("0 3 * *", "columns"),
        ("0 25 * * *", "out of range"),
        ("a b c d e", "not acceptable"),
        ("0 0 31 2 *", "failed to find next date"),
        ("0 0 3 * * *", "6 fields"),
        ("r 3 * * *", "drawn by lot"),
        ("@reboot", "columns"),
        ("0 3\n* * * ;", "not acceptable"),
    ],
)
def test_what_is_no_expression_is_one_line(text, said):
    with pytest.raises(FaceReconError, match=rf"^--cron .*{said}.*: expected minute, hour") as caught:
        Cron.parse(text)
    assert "\n" not in caught.value.message


def test_numbers_and_lists_are_what_each_cron_understands():
    assert Cron.parse("*/20 3-5 * jan fri-mon").plain() == "0,20,40 3,4,5 * 1 0,1,5,6"
    for text in ("0 3 l * *", "0 3 * * fri#2", "0 3 * * L5", "0 3 15w * *"):
        with pytest.raises(FaceReconError, match="cron knows no last day and no nth weekday"):
            Cron.parse(text).plain()
