"""The decision in words: a refusal is a refusal, a doubt a doubt, and a promoted model's setbacks are told."""

from collections.abc import Callable
from typing import Any

import pytest

from facerecon.report import Story
from facerecon.report.decision import failed_checks, score_groups, setbacks, standing, verdict


@pytest.fixture
def decision(make_story: Callable[..., Story]) -> dict[str, Any]:
    """Version 4 was refused against version 3."""
    return make_story().decision


def test_a_refusal_gives_its_reason(decision: dict[str, Any]) -> None:
    assert standing(decision) == (
        "Version 4 stays a challenger; it had to beat version 3: -0.310 dB of hole PSNR against version 3, 0.05 needed."
    )
    assert verdict(decision) == "Version 4 stays a challenger; it had to beat version 3."
    assert failed_checks(decision) == ["gain: -0.310 dB of hole PSNR against version 3, 0.05 needed"]


def test_a_first_champion(decision: dict[str, Any]) -> None:
    decision |= {"champion": True, "champion_version": None, "reason": "it is the first.", "checks": []}
    assert standing(decision) == verdict(decision) == "Version 4 is champion: it is the first."


def test_a_champion_in_spite_of_a_failed_check_says_why(decision: dict[str, Any]) -> None:
    decision |= {"champion": True, "reason": "0.31 dB worse; since then version 4 is champion (by hand: a demo)"}
    assert verdict(decision).endswith("since then version 4 is champion (by hand: a demo).")
    assert failed_checks(decision)


def test_scores_of_every_measure_brush_first(decision: dict[str, Any]) -> None:
    decision["challenger"]["boxes/level_1"] = {"hole_psnr": 14.0}
    groups = score_groups(decision)
    assert [(group.family, group.metric.key) for group in groups] == [
        ("brush", "hole_psnr"),
        ("brush", "lpips"),
        ("brush", "identity"),
        ("boxes", "hole_psnr"),
        ("held_out", "hole_psnr"),
    ]
    first = groups[0]
    assert first.people == 7
    assert [row.label for row in first.rows] == ["level 1", "level 2", "level 3", "mean over levels"]
    assert [row.standing for row in first.rows] == ["worse", "not certain", "not certain", "not certain"]
    assert (first.rows[3].challenger, first.rows[3].champion) == ("18.99", "19.30")


@pytest.mark.parametrize(
    ("metric", "low", "high", "found"),
    [
        ("hole_psnr", 0.1, 0.3, "better"),
        ("hole_psnr", -0.3, -0.1, "worse"),
        ("lpips", 0.1, 0.3, "worse"),
        ("lpips", -0.3, -0.1, "better"),
        ("identity", 0.0, 0.3, "not certain"),
        ("identity", None, None, "cannot be told"),
    ],
)
def test_only_a_whole_interval_decides(
    decision: dict[str, Any], metric: str, low: float | None, high: float | None, found: str
) -> None:
    for row in decision["differences"]:
        row |= {"low": low, "high": high}
    (group,) = [group for group in score_groups(decision) if (group.family, group.metric.key) == ("brush", metric)]
    assert {row.standing for row in group.rows} == {found}
    assert {row.interval == "–" for row in group.rows} == {low is None}


def test_setbacks_name_measure_masks_and_levels(decision: dict[str, Any]) -> None:
    assert setbacks(decision) == [
        "hole PSNR under brush masks is worse than that of version 3 at level 1",
        "hole PSNR under held out masks is worse than that of version 3 at level 1",
    ]
    for row in decision["differences"]:
        row |= {"low": 0.1, "high": 0.2} if row["metric"] == "lpips" else {"low": -1, "high": 1}
        if row["level"] is None:
            row |= {"low": -0.2, "high": -0.1}
    decision["champion"] = True
    assert setbacks(decision) == [
        "hole PSNR under brush masks is worse than that of version 3 on average",
        "LPIPS under brush masks is worse than that of version 3 at levels 1, 2 and 3",
    ]


def test_without_a_champion_there_is_nothing_to_compare(decision: dict[str, Any]) -> None:
    decision |= {"champion_before": None, "differences": []}
    assert setbacks(decision) == []
    rows = [row for group in score_groups(decision) for row in group.rows]
    assert {(row.champion, row.difference, row.interval, row.standing) for row in rows} == {("–", "–", "–", "")}


def test_what_could_not_be_measured_is_no_number(decision: dict[str, Any]) -> None:
    decision["challenger"]["brush/level_2"]["hole_psnr"] = None
    rows = score_groups(decision)[0].rows
    assert [row.challenger for row in rows] == ["19.99", "–", "17.99", "–"]
