"""The table of a figure by lighting."""

from collections.abc import Callable

import pytest

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores
from facerecon.report import Story
from facerecon.report.lighting import lighting_groups, lighting_table
from facerecon.report.model_card import render_model_card
from facerecon.report.render import render_report
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE
from facerecon.tasks.inpainting.report import REPORT

Make = Callable[..., Evaluation]


def test_lighting_by_level_and_brightness(make_evaluation: Make, spread: Callable[..., list[float]]) -> None:
    base = make_evaluation()
    dark = Scores()
    for key, method in base.scores:
        if key.face_set == "test":
            dark.add(key, method, base.scores.faces(key, method), base.scores.values(key, method))
    assert lighting_groups(make_evaluation(scores=dark), REPORT, HOLE_PSNR, MAIN_CASE) == []
    faces = [f"face {number}" for number in range(12)]
    for condition, level, method, values in (
        ("bright", 2, "model", spread(18.5)),
        ("bright", 2, "telea", spread(19.0)),
        ("dark", 2, "telea", spread(16.0, infinite=1)),
        ("dark", 2, "model", spread(17.0)),
        ("dark", 1, "model", spread(None)),
        ("dark", 1, "telea", spread(None)),
        ("medium", 1, "model", spread(17.0)),
    ):
        dark.add(MetricKey(f"test_{condition}", "hole_psnr", "brush", level), method, faces, values)
    one, two = lighting_groups(make_evaluation(scores=dark), REPORT, HOLE_PSNR, MAIN_CASE)
    assert (one.label, two.label) == ("level 1 (10-30 % hidden)", "level 2 (30-50 % hidden)")
    assert [(row.condition, row.luma, row.faces) for row in two.rows] == [
        ("dark", "0-85", 12),
        ("bright", "170-255", 12),
    ]
    assert [(row.model, row.baseline, row.difference) for row in two.rows] == [
        ("17.00 ± 2.10", "16.00 ± 2.10 (1 × ∞)", "–"),
        ("18.50 ± 2.10", "19.00 ± 2.10", "−0.50"),
    ]
    assert [(row.model, row.baseline, row.difference) for row in one.rows] == [("∞", "∞", "0.00")]


@pytest.fixture
def drawn(make_evaluation: Make, spread: Callable[..., list[float]]) -> Evaluation:
    """An evaluation on drawn faces of which two lights are known, at level 2."""
    lit = Scores() | make_evaluation().scores
    for light, ours in (("dim", 17.0), ("side", 18.5)):
        for method, mean in (("model", ours), ("telea", 16.0)):
            key = MetricKey(f"test_light_{light}", "hole_psnr", "brush", 2)
            lit.add(key, method, [f"{light} {number}" for number in range(4)], spread(mean, faces=4))
    return make_evaluation(scores=lit)


def test_the_lights_of_drawn_faces_stand_below_brightness_in_the_order_of_the_conditions(drawn: Evaluation) -> None:
    table = lighting_table(drawn, REPORT, HOLE_PSNR, MAIN_CASE, "hidden")
    assert table is not None
    assert table.drawn
    [two] = table.groups
    assert [(row.condition, row.luma, row.faces, row.difference) for row in two.rows[2:]] == [
        ("side light", "", 4, "+2.50"),
        ("dim light", "", 4, "+1.00"),
    ]
    assert [row.condition for row in two.rows[:2]] == ["dark", "bright"]


def test_a_figure_that_is_not_told_by_lighting_has_no_table(make_evaluation: Make) -> None:
    plain = lighting_table(make_evaluation(), REPORT, HOLE_PSNR, MAIN_CASE, "hidden")
    assert plain is not None
    assert not plain.drawn
    assert lighting_table(make_evaluation(), REPORT, HOLE_PSNR, "held_out", "hidden") is None


def test_report_and_card_say_that_faces_were_drawn_in_a_light(
    drawn: Evaluation, make_story: Callable[..., Story]
) -> None:
    told = "Drawn faces also stand by the light that they were drawn in."
    page, card = render_report(make_story(evaluation=drawn)), render_model_card(make_story(evaluation=drawn))
    assert told in page
    assert told in card
    assert '<th scope="row">side light</th><td class="n">–</td><td class="n">4</td>' in page
    assert "| level 2 (30-50 % hidden) | side light | – | 4 | 18.50 ± 2.10 | 16.00 ± 2.10 | +2.50 |" in card
    assert told not in render_report(make_story())
    assert told not in render_model_card(make_story())
