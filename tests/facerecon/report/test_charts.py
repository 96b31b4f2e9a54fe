"""Charts: curves and dots lie where their numbers say, and no two labels overlap."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from facerecon.report import Story, charts
from facerecon.report.charts import nice_ticks, reliability_charts, training_charts

LEVELS = (1, 2, 3)


def test_curves(make_story: Callable[..., Story]) -> None:
    history = make_story().history
    found = {chart.title: chart for chart in training_charts(history, 400)}
    assert list(found) == [
        "validation: hole PSNR, dB",
        "validation: hole L1",
        "loss: total",
        "loss: hole",
        "learning rate",
    ]
    psnr = found["validation: hole PSNR, dB"]
    assert [line.name for line in psnr.lines] == ["level 1", "level 2", "level 3"]
    assert [line.end[1] for line in psnr.lines] == sorted(line.end[1] for line in psnr.lines)
    total = found["loss: total"]
    assert total.lines[0].path.count("L") == len(history) - 1
    assert total.last == f"{100 / 600:.3g}"
    left, right = total.x_ticks[0][0], total.x_ticks[-1][0]
    assert total.kept == pytest.approx(left + (right - left) * 400 / 600, abs=0.1)
    for chart in found.values():
        for line in chart.lines:
            points = np.array(re.findall(r"([\d.]+),([\d.]+)", line.path), dtype=float)
            assert ((points >= 0) & (points <= (charts.WIDTH, charts.HEIGHT))).all()


def test_a_single_step_has_curves() -> None:
    titles = [chart.title for chart in training_charts([{"step": 1, "learning_rate": 0.0, "loss/total": 0.0}], 1)]
    assert titles == ["loss: total", "learning rate"]
    assert training_charts([], 0) == []


def test_labels_of_near_curves_do_not_overlap() -> None:
    rows = [{"step": 10, **{f"val/hole_psnr_level_{k}": 18 + k / 1000 for k in LEVELS}}]
    heights = sorted(line.label_y for line in training_charts(rows, 10)[0].lines)
    assert min(np.diff(heights)) >= 12


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (14.4, 19.8), (1e-6, 2e-3), (-3, 5), (7, 7), (0, 0), (99.99, 100.01), (0.3, 0.3000001)]
)
def test_ticks_are_few_and_enclose(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert ticks[0] <= low
    assert high <= ticks[-1]
    assert len({f"{tick:.10g}" for tick in ticks}) == len(ticks)


def test_dots_lie_where_says_meets_is(make_story: Callable[..., Story]) -> None:
    first, *_ = found = reliability_charts(make_story().figures)
    assert [chart.title[:7] for chart in found] == ["level 1", "level 2", "level 3"]
    # two of ten bins are empty
    assert len(first.dots) == 8
    side, left, top = charts.SQUARE, charts.SQUARE_LEFT, charts.SQUARE_TOP
    last = first.dots[-1]
    assert last.x == pytest.approx(left + 0.95 * side, abs=0.1)
    assert last.y == pytest.approx(top + (1 - 0.91) * side, abs=0.1)
    assert last.drop == pytest.approx(top + (1 - 0.95) * side, abs=0.1)
    assert last.about == "says 0.95, right on 0.91: 20.5 % of the pixels"


def test_a_dots_area_is_its_share_of_the_pixels(make_story: Callable[..., Story]) -> None:
    figures = make_story().figures
    bins = [dict(each) for each in figures["confidence"]["reliability"][0]["bins"]]
    for each in bins:
        each["pixels"] = {5: 900, 6: 100}.get(round(each["low"] * 10), 0)
    figures["confidence"]["reliability"][0]["bins"] = bins
    many, few = reliability_charts(figures)[0].dots
    assert many.radius**2 / few.radius**2 == pytest.approx(9, rel=0.05)
    bins[5]["pixels"] = 10**9
    assert reliability_charts(figures)[0].dots[1].radius == charts.SMALLEST_DOT


def test_no_reliability_without_confidence(make_story: Callable[..., Story], bare_story: Story) -> None:
    assert reliability_charts(bare_story.figures) == []
    figures = make_story().figures
    for each in figures["confidence"]["reliability"]:
        each["bins"] = [each_bin | {"pixels": 0} for each_bin in each["bins"]]
    assert reliability_charts(figures) == []
