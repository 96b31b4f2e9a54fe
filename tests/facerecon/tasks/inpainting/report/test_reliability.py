"""Confidence beside what is so: rows, sentences and charts say what the figures say."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import tables
from facerecon.tasks.inpainting.details import Confidence, InpaintingDetails
from facerecon.tasks.inpainting.report import REPORT, reliability
from facerecon.tasks.inpainting.report.reliability import (
    confidence_blocks,
    confidence_lines,
    confidence_rows,
    reliability_charts,
)

Make = Callable[..., Evaluation]


def confidence(case: str, level: int, **changes: Any) -> Confidence:
    """A level where the model says 0.62 and is right on 0.60 of the pixels."""
    figures = {"brier": 0.2137, "brier_constant": 0.2391, "rank_correlation": 0.3512, "calibration_error": 0.0417}
    about = {"case": case, "level": level, "pixels": 123_456, "faces": 12, "bins": ()}
    return Confidence.model_validate(about | figures | {"mean_confidence": 0.6213, "share_right": 0.6049} | changes)


def details(*rows: Confidence) -> InpaintingDetails:
    return InpaintingDetails(threshold=16, attention=(), hole_ratios=(), confidence=rows)


def story_details(make_evaluation: Make) -> InpaintingDetails:
    found = make_evaluation().details
    assert isinstance(found, InpaintingDetails)
    return found


def test_lines_say_what_is_said_and_what_is() -> None:
    assert confidence_lines(details()) == []
    rows = [
        confidence("brush", 2),
        confidence("held_out", 1),
        confidence("brush", 1, rank_correlation=None),
        confidence("features/left_eye", -1),
        confidence("brush", 3, rank_correlation=-0.021),
    ]
    said = "says 0.62, right on 0.60 of the pixels; Brier 0.21 (a constant guess 0.24); rank correlation"
    assert confidence_lines(details(*rows)) == [
        f"confidence, level 1: {said} –",
        f"confidence, level 2: {said} 0.35",
        f"confidence, level 3: {said} −0.02",
    ]


def test_blocks_in_the_order_of_cases(make_evaluation: Make) -> None:
    evaluation = make_evaluation()
    assert confidence_blocks(evaluation, details(), REPORT) == []
    places = [("features/left_eye", -1), ("held_out", 1), ("brush", 3), ("brush", 1)]
    found = details(*(confidence(case, level) for case, level in places))
    blocks = confidence_blocks(evaluation, found, REPORT)
    assert [(block.title, block.part) for block in blocks] == [
        ("brush masks", False),
        ("held out masks", False),
        ("left eye", True),
    ]
    assert [row.label for row in blocks[0].rows] == ["level 1 (10-30 % hidden)", "level 3 (50-70 % hidden)"]
    assert blocks[2].rows[0].label == "left eye"
    first = blocks[0].rows[0]
    assert (first.says, first.right, first.brier, first.constant) == ("0.621", "0.605", "0.214", "0.239")
    assert (first.rank, first.calibration, first.faces, first.pixels) == ("0.351", "0.042", 12, 123_456)


@pytest.mark.parametrize(("brier", "useless"), [(0.2137, False), (0.2389, True), (0.26, True)])
def test_confidence_that_is_no_better_than_one_number_falls_short(
    make_evaluation: Make, brier: float, useless: bool
) -> None:
    """Equal as shown is no better."""
    found = details(confidence("brush", 1), confidence("brush", 2, brier=brier), confidence("held_out", 1, brier=1))
    assert [row.useless for row in confidence_rows(found, "brush", REPORT)] == [False, useless]
    said = "confidence is no better than one constant guess (Brier score) at level 2"
    without, evaluation = (replace(make_evaluation(), details=each) for each in (details(), found))
    assert (said in tables.shortfalls(evaluation, REPORT)) is useless
    assert len(tables.shortfalls(evaluation, REPORT)) == len(tables.shortfalls(without, REPORT)) + useless


def test_dots_lie_where_says_meets_is(make_evaluation: Make) -> None:
    first, *_ = found = reliability_charts(story_details(make_evaluation))
    assert [chart.title[:7] for chart in found] == ["level 1", "level 2", "level 3"]
    # two of ten bins are empty
    assert len(first.dots) == 8
    side, left, top = reliability.SQUARE, reliability.SQUARE_LEFT, reliability.SQUARE_TOP
    last = first.dots[-1]
    assert last.x == pytest.approx(left + 0.95 * side, abs=0.1)
    assert last.y == pytest.approx(top + (1 - 0.91) * side, abs=0.1)
    assert last.drop == pytest.approx(top + (1 - 0.95) * side, abs=0.1)
    assert last.about.startswith("says 0.95, right on 0.91: ")


def test_a_dots_area_is_its_share_of_the_pixels(make_evaluation: Make) -> None:
    bins = story_details(make_evaluation).confidence[0].bins

    def dots(sixth: int, seventh: int) -> Any:
        counts = {5: sixth, 6: seventh}
        changed = tuple(each.model_copy(update={"pixels": counts.get(k, 0)}) for k, each in enumerate(bins))
        return reliability_charts(details(confidence("brush", 1, bins=changed, pixels=sixth + seventh)))[0].dots

    many, few = dots(900, 100)
    assert many.radius**2 / few.radius**2 == pytest.approx(9, rel=0.05)
    assert many.about.endswith(": 90.0 % of the pixels")
    assert dots(10**9, 100)[1].radius == reliability.SMALLEST_DOT


def test_no_chart_without_confidence() -> None:
    assert reliability_charts(details()) == []
    assert reliability_charts(details(confidence("brush", 1, pixels=0))) == []
