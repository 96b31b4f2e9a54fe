"""Tables and sentences say what the figures say: the best is marked, a worse model is called worse."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.scores import Scores, Summary
from facerecon.report import tables as table
from facerecon.report.base import TaskReport
from facerecon.tasks import get_task

REPORT = get_task("inpainting").report
METHODS = ("model", "telea", "mean_fill")
Make = Callable[..., Evaluation]
Cases = dict[tuple[str, int], tuple[float, float, float]]

MIXED: Cases = {
    ("features/left_eye", -1): (21.0, 20.0, 15.0),
    ("held_out", 1): (12.0, 16.0, 13.0),
    ("brush", 1): (17.44, 18.36, 14.0),
    ("brush", 2): (17.71, 17.68, 13.5),
    ("brush", 3): (17.4, 16.8, 13.0),
    ("boxes", 2): (19.0, 18.0, 14.0),
}
"""Worse than Telea at level 1, equal to a tenth at level 2, better at level 3, behind both at held_out."""

ONE: Cases = {("brush", 1): (19.0, 18.0, 14.0)}


@pytest.fixture
def measured(make_evaluation: Make, spread: Callable[..., list[float]]) -> Make:
    """``measured(cases, changed)``: hole PSNR of model, Telea and mean fill by case; other figures follow from it."""

    def make(cases: Cases, changed: dict[tuple[str, str, str, int], list[float]] | None = None) -> Evaluation:
        scores = Scores()
        faces = [f"face {number}" for number in range(12)]
        for (case, level), values in cases.items():
            for method, psnr in zip(METHODS, values, strict=True):
                figures = {"whole_psnr": spread(psnr + 5, 2.104), "hole_psnr": spread(psnr, 2.104)}
                figures["ssim"] = spread(psnr / 40, 0.0312)
                figures["lpips_vgg"] = spread(1 - psnr / 40, 0.0312)
                figures["identity_sface"] = spread(psnr / 50, 0.0312)
                for metric, column in figures.items():
                    scores.add(MetricKey("test", metric, case, level), method, faces, column)
            floor = MetricKey("test", "identity_sface", case, level)
            scores.add(floor, "masked_input", faces, spread(0.25, 0.0312))
        details = make_evaluation(confidence=()).details
        ratios = tuple(details.hole_ratios[0].model_copy(update={"case": c, "level": k}) for c, k in cases)
        return replace(
            make_evaluation(changed, scores=scores), details=details.model_copy(update={"hole_ratios": ratios})
        )

    return make


@pytest.fixture
def mixed(measured: Make) -> Evaluation:
    return measured(MIXED)


def test_verdict_says_better_equal_and_worse(mixed: Evaluation) -> None:
    assert table.verdict(mixed, REPORT) == [
        "level 1 (10-30 % hidden): hole PSNR 17.4 dB, 0.9 dB worse than Telea, 3.4 dB better than mean fill",
        "level 2 (30-50 % hidden): hole PSNR 17.7 dB, no better and no worse (to 0.1 dB) than Telea, "
        "4.2 dB better than mean fill",
        "level 3 (50-70 % hidden): hole PSNR 17.4 dB, 0.6 dB better than Telea, 4.4 dB better than mean fill",
    ]
    assert table.headline(mixed) == (
        "By hole PSNR, the model is worse than Telea at level 1, no better at level 2 and better at level 3."
    )


def test_headline_of_one_outcome(measured: Make) -> None:
    worse = measured({("brush", level): (10.0, 12.0, 11.0) for level in (1, 2, 3)})
    assert table.headline(worse) == "By hole PSNR, the model is worse than Telea at every level."
    assert all("2.0 dB worse than Telea, 1.0 dB worse than mean fill" in said for said in table.verdict(worse, REPORT))
    single = measured({("brush", 2): (19.0, 18.0, 11.0)})
    assert table.headline(single) == "By hole PSNR, the model is better than Telea at level 2."
    two = measured({("brush", 1): (9.0, 8.0, 7.0), ("brush", 2): (9.0, 8.0, 7.0), ("brush", 3): (7.0, 8.0, 7.0)})
    assert table.headline(two) == "By hole PSNR, the model is better than Telea at levels 1 and 2 and worse at level 3."


def test_infinite_figures_are_not_compared_away(measured: Make, spread: Callable[..., list[float]]) -> None:
    """A mean that leaves out another method's best faces must not make the model look better."""
    made = measured(ONE, {("telea", "hole_psnr", "brush", 1): spread(18.0, infinite=3)})
    said = table.verdict(made, REPORT)[0]
    assert "not comparable with Telea (exact, so infinite, on 0 of 12 faces; Telea on 3)" in said
    assert "better than Telea" not in said
    assert "not comparable with Telea" in table.headline(made)
    lines = table.case_block(made, REPORT, "brush").groups[0].lines[:3]
    assert {line.method: line.cells[1].best for line in lines} == dict.fromkeys(METHODS, False)


@pytest.mark.parametrize(("mean", "worse"), [(18.9, False), (19.1, True)])
def test_a_method_with_more_exact_faces_and_a_better_mean_of_the_others_is_better(
    measured: Make, spread: Callable[..., list[float]], mean: float, worse: bool
) -> None:
    whole = {"model": spread(19.0), "telea": spread(mean, infinite=3)}
    made = measured(ONE, {(method, "whole_psnr", "brush", 1): values for method, values in whole.items()})
    assert ("whole PSNR is worse than that of Telea at level 1" in table.shortfalls(made, REPORT)) == worse


def test_exact_everywhere_is_infinite_and_best(measured: Make, spread: Callable[..., list[float]]) -> None:
    made = measured(ONE, {("model", "hole_psnr", "brush", 1): spread(None)})
    cell = table.case_block(made, REPORT, "brush").groups[0].lines[0].cells[1]
    assert (cell.mean, cell.spread, cell.best, cell.text) == ("∞", "", True, "∞")
    assert "every hole PSNR infinite" in table.verdict(made, REPORT)[0]
    both = {(method, "hole_psnr", "brush", 1): spread(None) for method in ("model", "telea")}
    assert "no better and no worse (to 0.1 dB) than Telea" in table.verdict(measured(ONE, both), REPORT)[0]


def test_some_exact_faces_are_counted_beside_the_mean(measured: Make, spread: Callable[..., list[float]]) -> None:
    made = measured(ONE, {("model", "hole_psnr", "brush", 1): spread(18.936, infinite=2)})
    cell = table.case_block(made, REPORT, "brush").groups[0].lines[0].cells[1]
    assert cell.text == "18.94 ± 2.10 (2 × ∞)"
    assert cell.best


def test_a_case_without_levels_and_a_lower_error_as_the_headline(make_evaluation: Make) -> None:
    error = Metric(name="nme", label="error", unit="%", digits=2, higher_is_better=False)
    scores = Scores()
    for method, value in (("model", 4.0), ("mean_face", 5.5)):
        scores.add(MetricKey("test", "nme", "plain"), method, ["a", "b"], [value, value])
    made = make_evaluation(
        scores=scores,
        metrics=(error,),
        headline=("nme", "plain"),
        baseline="mean_face",
        methods={"model": "model", "mean_face": "mean face"},
    )
    assert table.headline(made) == "By error, the model is better than mean face."
    assert table.verdict(made, TaskReport()) == ["plain: error 4.0 %, 1.5 % better than mean face"]
    assert table.shortfalls(made, TaskReport()) == []
    [block] = table.blocks(made, TaskReport())
    assert [[cell.best for cell in line.cells if cell] for line in block.groups[0].lines] == [[True], [False]]
    text = printed(table.console_table(made, TaskReport()))
    assert "error ↓" in text
    assert "4.00 ±0.00" in text


def test_a_mean_over_fewer_faces_says_so_and_is_not_the_best(make_evaluation: Make) -> None:
    error = Metric(name="nme", label="error", unit="%", digits=2, higher_is_better=False)
    failure = Metric(name="failure", label="failures", unit="%", digits=1, higher_is_better=False)
    scores = Scores()
    for method, values in (("model", [4.0, 6.0]), ("detector", [3.0])):
        scores.add(MetricKey("test", "nme", "plain"), method, ["a", "b"][: len(values)], values)
    for method, values in (("model", [0.0, 0.0]), ("detector", [0.0, 100.0])):
        scores.add(MetricKey("test", "failure", "plain"), method, ["a", "b"], values)
    made = make_evaluation(
        scores=scores,
        metrics=(error, failure),
        headline=("nme", "plain"),
        baseline="detector",
        methods={"model": "model", "detector": "detector"},
    )
    [block] = table.blocks(made, TaskReport())
    ours, theirs = block.groups[0].lines
    assert (ours.n, theirs.n) == (2, 2)
    assert [cell.text for cell in ours.cells if cell] == ["5.00 ± 1.00", "0.0 ± 0.0"]
    assert [cell.text for cell in theirs.cells if cell] == ["3.00 ± 0.00 (1 face)", "50.0 ± 50.0"]
    assert [cell.best for cell in theirs.cells if cell] == [False, False], "of the easy faces alone"
    assert "of 1" in printed(table.console_table(made, TaskReport()))


@pytest.mark.parametrize(
    ("key", "values", "best"),
    [
        ("hole_psnr", (19.0, 18.0, 14.0), {"model"}),
        ("hole_psnr", (17.0, 18.0, 14.0), {"telea"}),
        ("hole_psnr", (18.001, 18.004, 14.0), {"model", "telea"}),
        ("lpips_vgg", (0.2, 0.3, 0.4), {"model"}),
        ("lpips_vgg", (0.4, 0.3, 0.2), {"mean_fill"}),
        ("identity_sface", (0.1, 0.2, 0.15), {"telea"}),
    ],
)
def test_best_by_direction_as_shown(mixed: Evaluation, key: str, values: tuple[float, ...], best: set[str]) -> None:
    made = {method: {key: Summary(value, 2.1, 12)} for method, value in zip(METHODS, values, strict=True)}
    # the floor is above all of them, and still no method
    rows = made | {"masked_input": {key: Summary(0.99, 0.1, 12)}}
    assert table.best_methods(rows, mixed.metric(key), REPORT.floors) == best


def test_cases_in_order_and_none_lost(mixed: Evaluation) -> None:
    blocks = table.blocks(mixed, REPORT)
    assert [block.case for block in blocks] == ["brush", "boxes", "held_out", "features/left_eye"]
    assert [block.title for block in blocks] == ["brush masks", "boxes masks", "held out masks", "left eye"]
    shown = [(b.case, g.level, line.method) for b in blocks for g in b.groups for line in g.lines]
    assert sorted(shown) == sorted({(key.case, key.level, method) for key, method in mixed.scores})
    assert [block.part for block in blocks] == [False, False, False, True]
    assert blocks[-1].groups[0].level == -1
    assert blocks[0].groups[0].label == "level 1 (10-30 % hidden)"
    assert blocks[0].groups[0].note == "20.1 % of the picture on average"
    with pytest.raises(KeyError):
        table.case_block(mixed, REPORT, "scatter")


def test_parts_as_they_are_labelled_come_last_under_names_of_their_own(measured: Make) -> None:
    made = measured({("parts/nose", -1): (19.0, 18.0, 14.0)} | MIXED)
    blocks = table.blocks(made, REPORT)[-2:]
    assert {block.case for block in blocks} == {"features/left_eye", "parts/nose"}
    assert all(block.part for block in blocks)
    assert REPORT.case_title("parts/nose") == "nose (outline)" != REPORT.case_title("features/nose")


def test_cells_are_rounded_and_the_floor_has_identity_alone(mixed: Evaluation) -> None:
    lines = table.case_block(mixed, REPORT, "brush").groups[0].lines
    assert [cell.text for cell in lines[0].cells if cell] == [
        "22.44 ± 2.10",
        "17.44 ± 2.10",
        "0.436 ± 0.031",
        "0.564 ± 0.031",
        "0.349 ± 0.031",
    ]
    assert [cell and cell.text for cell in lines[3].cells] == [None, None, None, None, "0.250 ± 0.031"]
    assert lines[0].n == 12


def test_shortfalls_name_measure_method_and_levels(mixed: Evaluation, measured: Make) -> None:
    assert table.shortfalls(mixed, REPORT) == [
        "whole PSNR is worse than that of Telea at level 1",
        "SSIM is worse than that of Telea at level 1",
        "LPIPS is worse than that of Telea at level 1",
        "identity is worse than that of Telea at level 1",
    ]
    assert table.shortfalls(measured(ONE), REPORT) == []
    behind = measured({("brush", level): (10.0, 12.0, 11.0) for level in (1, 3)})
    assert table.shortfalls(behind, REPORT)[-1] == (
        "identity is worse than that of Telea at levels 1 and 3, and that of mean fill at levels 1 and 3, "
        "and that of the hidden input itself at levels 1 and 3"
    )
    assert table.shortfalls(measured({("brush", 1): (12.0, 11.0, 10.0)}), REPORT) == [
        "identity is worse than that of the hidden input itself at level 1"
    ]


def test_judges_say_whether_they_were_in_the_loss(mixed: Evaluation) -> None:
    lpips, identity = table.judge_notes(mixed)
    assert lpips == "LPIPS: lpips_vgg, not in the loss"
    assert identity.startswith("identity: sface, also in the loss")


def printed(shown: Any, **options: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, **options).print(shown)
    return stream.getvalue()


@pytest.mark.parametrize("case", ["brush", "features/left_eye"])
def test_console_table_fits_and_is_whole(measured: Make, spread: Callable[..., list[float]], case: str) -> None:
    exact = {("telea", "whole_psnr", *place): spread(psnr[1] + 5, infinite=3) for place, psnr in MIXED.items()}
    made = measured(MIXED, exact)
    text = printed(table.console_table(made, REPORT, case))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for line in table.case_block(made, REPORT, case).groups[0].lines[:3]:
        assert line.label in text
        assert all(f"{cell.mean} ±{cell.spread}" in text for cell in line.cells if cell)
    assert "3 × ∞" in text
    assert "hidden input" not in text


def test_console_table_marks_the_best(mixed: Evaluation) -> None:
    text = printed(table.console_table(mixed, REPORT), force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[1m18.36 ±2.10" in text
    assert "\x1b[1m17.44 ±2.10" not in text
    assert "\x1b[1m17.40 ±2.10" in text
