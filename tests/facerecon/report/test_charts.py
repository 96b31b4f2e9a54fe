"""Charts: curves lie where their numbers say, and no two labels overlap."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from facerecon.report import Story, charts
from facerecon.report.base import TaskReport
from facerecon.report.charts import nice_ticks, training_charts
from facerecon.tasks import get_task

LEVELS = (1, 2, 3)
INPAINTING = get_task("inpainting").report


def test_curves(make_story: Callable[..., Story]) -> None:
    history = make_story().history
    found = {chart.title: chart for chart in training_charts(history, 400, INPAINTING)}
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
    titles = [
        chart.title
        for chart in training_charts([{"step": 1, "learning_rate": 0.0, "loss/total": 0.0}], 1, TaskReport())
    ]
    assert titles == ["loss: total", "learning rate"]
    assert training_charts([], 0, TaskReport()) == []


def test_labels_of_near_curves_do_not_overlap() -> None:
    rows = [{"step": 10, **{f"val/hole_psnr/brush_level_{k}": 18 + k / 1000 for k in LEVELS}}]
    heights = sorted(line.label_y for line in training_charts(rows, 10, INPAINTING)[0].lines)
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


def test_a_task_without_charts_of_its_own_has_one_for_each_name() -> None:
    """Two networks have two rates; what is validated comes first, then losses."""
    row = {
        "step": 1,
        "loss/points": 2.0,
        "val/nme/plain": 3.0,
        "learning_rate/generator": 0.1,
        "learning_rate/judge": 0.2,
    }
    found = training_charts([row], 1, TaskReport())
    assert [chart.title for chart in found] == [
        "val/nme/plain",
        "loss: points",
        "learning rate/generator",
        "learning rate/judge",
    ]
    assert [chart.last for chart in found] == ["3", "2", "0.1", "0.2"]
