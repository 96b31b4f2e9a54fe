"""The decision in words: a refusal is a refusal, a doubt a doubt, and a promoted model's setbacks are told."""

from collections.abc import Callable
from typing import Any

import pytest

from facerecon.evaluation.promotion import BaselineGain, Decision, GateMean
from facerecon.report.base import TaskReport
from facerecon.report.decision import (
    baseline_gains,
    failed_checks,
    judges,
    score_groups,
    setbacks,
    standing,
    verdict,
)
from facerecon.tasks import get_task

Make = Callable[..., Decision]
INPAINTING = get_task("inpainting").report


def changed_rows(decision: Decision, field: str, change: Callable[[Any], dict[str, Any]]) -> Decision:
    """The decision with some fields of its ``means`` or ``differences`` changed."""
    rows = tuple(row.model_copy(update=change(row)) for row in getattr(decision, field))
    return decision.model_copy(update={field: rows})


def test_a_refusal_gives_its_reason(make_decision: Make) -> None:
    decision = make_decision()
    assert standing(decision) == (
        "Version 4 stays a challenger; it had to beat version 3: -0.310 dB of hole PSNR against version 3, 0.05 needed."
    )
    assert verdict(decision) == "Version 4 stays a challenger; it had to beat version 3."
    assert failed_checks(decision) == ["gain: -0.310 dB of hole PSNR against version 3, 0.05 needed"]


def test_a_champion_that_is_no_opponent_is_named(make_decision: Make) -> None:
    decision = make_decision(no_opponent=9)
    assert verdict(decision) == (
        "Version 4 stays a challenger; it had to beat version 3, since the figures of the champion, version 9, are no "
        "finite numbers."
    )
    assert (decision.champion_then, make_decision().champion_then) == (9, 3)


def test_a_first_champion(make_decision: Make) -> None:
    decision = make_decision(champion=True, champion_version=None, reason="it is the first.", checks=())
    assert standing(decision) == verdict(decision) == "Version 4 is champion: it is the first."


def test_a_champion_in_spite_of_a_failed_check_says_why(make_decision: Make) -> None:
    said = "0.31 dB worse; since then version 4 is champion (by hand: a demo)"
    decision = make_decision(champion=True, reason=said)
    assert verdict(decision).endswith("since then version 4 is champion (by hand: a demo).")
    assert failed_checks(decision)


def test_a_proposal_says_so_with_its_command(make_decision: Make) -> None:
    reason = "proposed, `facerecon promote demo/4 --reason ...` makes it champion: +0.310 dB"
    decision = make_decision(proposed=True, reason=reason, checks=())
    assert verdict(decision) == f"Version 4 is proposed; it had to beat version 3: {reason}."


def test_each_face_set_has_groups_of_its_own_that_of_the_gain_first(make_decision: Make) -> None:
    decision = make_decision()
    rows = {}
    for field in ("means", "differences"):
        sets = [(name, row) for name in ("gate_old", "gate_new") for row in getattr(decision, field)]
        rows[field] = tuple(row.model_copy(update={"face_set": name}) for name, row in sets)
    both = decision.model_copy(update=rows | {"face_set": "gate_new"})
    groups = score_groups(both, INPAINTING)
    one = score_groups(decision, INPAINTING)
    assert [group.title for group in groups] == [
        *(f"{group.title} on gate_new" for group in one),
        *(f"{group.title} on gate_old" for group in one),
    ]
    assert [group.rows for group in groups] == 2 * [group.rows for group in one]
    assert setbacks(both, INPAINTING)[0] == (
        "hole PSNR of brush masks on gate_new is worse than that of version 3 at level 1"
    )
    gains = tuple(BaselineGain(face_set=name, method="telea", gain=1.254) for name in ("gate_new", "gate_old"))
    assert baseline_gains(both.model_copy(update={"baseline_gains": gains})) == [
        f"+1.25 dB of hole PSNR over telea on {name}" for name in ("gate_new", "gate_old")
    ]
    assert baseline_gains(decision.model_copy(update={"baseline_gains": gains[:1]})) == [
        "+1.25 dB of hole PSNR over telea"
    ]


def test_judges_of_the_gate_are_named(make_decision: Make) -> None:
    decision = make_decision()
    assert judges(decision) == "LPIPS by lpips_vgg, identity by dlib"
    assert judges(decision.model_copy(update={"metrics": decision.metrics[:1]})) == ""


def test_scores_of_every_measure_the_gate_keys_case_first(make_decision: Make) -> None:
    decision = make_decision()
    boxes = GateMean(metric="hole_psnr", case="boxes", level=1, challenger=14.0, champion=None)
    groups = score_groups(decision.model_copy(update={"means": (*decision.means, boxes)}), INPAINTING)
    assert [(group.case, group.metric.name) for group in groups] == [
        ("brush", "hole_psnr"),
        ("brush", "lpips_vgg"),
        ("brush", "identity_dlib"),
        ("boxes", "hole_psnr"),
        ("held_out", "hole_psnr"),
    ]
    first = groups[0]
    assert (first.title, first.people) == ("brush masks", 7)
    assert [row.label for row in first.rows] == ["level 1", "level 2", "level 3", "mean over levels"]
    assert [row.standing for row in first.rows] == ["worse", "not certain", "not certain", "not certain"]
    assert (first.rows[3].challenger, first.rows[3].champion) == ("18.99", "19.30")


def test_a_case_without_levels_has_one_row_under_its_name(make_decision: Make) -> None:
    """Its mean over levels is itself and is not told twice."""
    decision = make_decision()
    mean = GateMean(metric="hole_psnr", case="brush", level=-1, challenger=19.0, champion=18.0)
    gap = decision.differences[0]
    only = (gap, gap.model_copy(update={"level": -1, "low": -0.5, "high": -0.1}))
    decision = decision.model_copy(update={"means": (mean,), "differences": only})
    [group] = score_groups(decision, TaskReport())
    assert [(row.label, row.challenger, row.champion, row.standing) for row in group.rows] == [
        ("brush", "19.00", "18.00", "worse")
    ]
    assert setbacks(decision, TaskReport()) == ["hole PSNR of brush is worse than that of version 3"]


@pytest.mark.parametrize(
    ("metric", "low", "high", "found"),
    [
        ("hole_psnr", 0.1, 0.3, "better"),
        ("hole_psnr", -0.3, -0.1, "worse"),
        ("lpips_vgg", 0.1, 0.3, "worse"),
        ("lpips_vgg", -0.3, -0.1, "better"),
        ("identity_dlib", 0.0, 0.3, "not certain"),
        ("identity_dlib", None, None, "cannot be told"),
    ],
)
def test_only_a_whole_interval_decides(
    make_decision: Make, metric: str, low: float | None, high: float | None, found: str
) -> None:
    decision = changed_rows(make_decision(), "differences", lambda row: {"low": low, "high": high})
    groups = score_groups(decision, INPAINTING)
    (group,) = [group for group in groups if (group.case, group.metric.name) == ("brush", metric)]
    assert {row.standing for row in group.rows} == {found}
    assert {row.interval == "–" for row in group.rows} == {low is None}


def test_setbacks_name_measure_case_and_levels(make_decision: Make) -> None:
    assert setbacks(make_decision(), INPAINTING) == [
        "hole PSNR of brush masks is worse than that of version 3 at level 1",
        "hole PSNR of held out masks is worse than that of version 3 at level 1",
    ]

    def change(row: Any) -> dict[str, Any]:
        if row.level is None:
            return {"low": -0.2, "high": -0.1}
        return {"low": 0.1, "high": 0.2} if row.metric == "lpips_vgg" else {"low": -1, "high": 1}

    assert setbacks(changed_rows(make_decision(champion=True), "differences", change), INPAINTING) == [
        "hole PSNR of brush masks is worse than that of version 3 on average",
        "LPIPS of brush masks is worse than that of version 3 at levels 1, 2 and 3",
    ]


def test_without_a_champion_there_is_nothing_to_compare(make_decision: Make) -> None:
    decision = changed_rows(make_decision(differences=(), compared=False), "means", lambda row: {"champion": None})
    assert setbacks(decision, INPAINTING) == []
    rows = [row for group in score_groups(decision, INPAINTING) for row in group.rows]
    assert {(row.champion, row.difference, row.interval, row.standing) for row in rows} == {("–", "–", "–", "")}


def test_what_could_not_be_measured_is_no_number(make_decision: Make) -> None:
    decision = changed_rows(make_decision(), "means", lambda row: {"challenger": None} if row.level == 2 else {})
    rows = score_groups(decision, INPAINTING)[0].rows
    assert [row.challenger for row in rows] == ["19.99", "–", "17.99", "–"]
