"""Tables and sentences say what the figures say: the best is marked, a worse model is called worse."""

import io
from typing import Any

import pytest
from rich.console import Console

from facerecon.report import tables as table

Row = dict[str, Any]


def summary(mean: float | None, std: float | None = 2.104, infinite: int = 0) -> Row:
    return {"mean": mean, "std": None if mean is None else std, "n": 12, "infinite": infinite}


def rows(family: str, level: int | None, model: float, telea: float, mean_fill: float) -> list[Row]:
    """All methods' rows under one mask, by their hole PSNR; the other figures follow from it."""
    about = {"family": family, "level": level, "hole_ratio": 0.4}
    made = []
    for method, psnr in (("model", model), ("telea", telea), ("mean_fill", mean_fill)):
        figures = {
            "whole_psnr": summary(psnr + 5),
            "hole_psnr": summary(psnr),
            "ssim": summary(psnr / 40, 0.0312),
            "lpips": summary(1 - psnr / 40, 0.0312),
            "identity": summary(psnr / 50, 0.0312),
        }
        made.append({"method": method, **about, **figures})
    return [*made, {"method": "masked_input", **about, "identity": summary(0.25, 0.0312)}]


def figures(*parts: list[Row]) -> Row:
    return {
        "split": {"name": "test", "faces": 12, "identities": 5},
        "judges": {
            "lpips": {"network": "lpips_vgg", "in_loss": False},
            "identity": {"network": "sface", "in_loss": True},
        },
        "table": [row for part in parts for row in part],
        "confidence": None,
        "lighting": [],
    }


def confidence_row(family: str, level: int | None, **changes: Any) -> Row:
    """A level where the model says 0.62 and is right on 0.60 of the pixels."""
    figures = {"brier": 0.2137, "brier_constant": 0.2391, "rank_correlation": 0.3512, "calibration_error": 0.0417}
    about = {"family": family, "level": level, "pixels": 123_456, "faces": 12}
    return about | figures | {"mean_confidence": 0.6213, "share_right": 0.6049} | changes


def lighting_row(condition: str, low: int, level: int, method: str, psnr: Row) -> Row:
    about = {"condition": condition, "low": low, "high": low + 85, "level": level, "method": method}
    return about | {"faces": psnr["n"], "hole_psnr": psnr}


@pytest.fixture
def mixed() -> Row:
    """Worse than Telea at level 1, equal to a tenth at level 2, better at level 3, behind both at held_out."""
    return figures(
        rows("features/left_eye", None, 21.0, 20.0, 15.0),
        rows("held_out", 1, 12.0, 16.0, 13.0),
        rows("brush", 1, 17.44, 18.36, 14.0),
        rows("brush", 2, 17.71, 17.68, 13.5),
        rows("brush", 3, 17.4, 16.8, 13.0),
        rows("boxes", 2, 19.0, 18.0, 14.0),
    )


def test_verdict_says_better_equal_and_worse(mixed: Row) -> None:
    assert table.verdict(mixed) == [
        "level 1 (10-30 % hidden): 17.4 dB in the holes, 0.9 dB worse than Telea, 3.4 dB better than mean fill",
        "level 2 (30-50 % hidden): 17.7 dB in the holes, no better and no worse (to 0.1 dB) than Telea, "
        "4.2 dB better than mean fill",
        "level 3 (50-70 % hidden): 17.4 dB in the holes, 0.6 dB better than Telea, 4.4 dB better than mean fill",
    ]
    assert table.headline(mixed) == (
        "In the holes, the model is worse than Telea inpainting at level 1, no better at level 2 and better at level 3."
    )


def test_headline_of_one_outcome() -> None:
    worse = figures(*(rows("brush", level, 10.0, 12.0, 11.0) for level in (1, 2, 3)))
    assert table.headline(worse) == "In the holes, the model is worse than Telea inpainting at every level."
    assert all("2.0 dB worse than Telea, 1.0 dB worse than mean fill" in said for said in table.verdict(worse))
    single = figures(rows("brush", 2, 19.0, 18.0, 11.0))
    assert table.headline(single) == "In the holes, the model is better than Telea inpainting at level 2."
    two = figures(rows("brush", 1, 9.0, 8.0, 7.0), rows("brush", 2, 9.0, 8.0, 7.0), rows("brush", 3, 7.0, 8.0, 7.0))
    assert table.headline(two) == (
        "In the holes, the model is better than Telea inpainting at levels 1 and 2 and worse at level 3."
    )


def test_infinite_figures_are_not_compared_away() -> None:
    """A mean that leaves out another method's best faces must not make the model look better."""
    made = rows("brush", 1, 19.0, 18.0, 14.0)
    made[1]["hole_psnr"]["infinite"] = 3
    assert table.gain(figures(made), 1, "telea") is None
    said = table.verdict(figures(made))[0]
    assert "not comparable with Telea (exact, so infinite, on 0 of 12 faces; Telea on 3)" in said
    assert "better than Telea" not in said
    assert "not comparable with Telea" in table.headline(figures(made))
    best = {line.method: line.cells[1].best for line in table.family_block(figures(made), "brush").groups[0].lines[:3]}
    assert best == {"model": False, "telea": False, "mean_fill": False}


@pytest.mark.parametrize(("mean", "worse"), [(18.9, False), (19.1, True)])
def test_a_method_with_more_exact_faces_and_a_better_mean_of_the_others_is_better(mean: float, worse: bool) -> None:
    made = rows("brush", 1, 19.0, 18.0, 14.0)
    made[0]["whole_psnr"], made[1]["whole_psnr"] = summary(19.0), summary(mean, infinite=3)
    assert ("whole PSNR is worse than that of Telea at level 1" in table.shortfalls(figures(made))) == worse


def test_exact_everywhere_is_infinite_and_best() -> None:
    made = rows("brush", 1, 19.0, 18.0, 14.0)
    made[0]["hole_psnr"] = summary(None, infinite=12)
    cell = table.family_block(figures(made), "brush").groups[0].lines[0].cells[1]
    assert (cell.mean, cell.spread, cell.best, cell.text) == ("∞", "", True, "∞")
    assert "every hole filled exactly" in table.verdict(figures(made))[0]
    made[1]["hole_psnr"] = summary(None, infinite=12)
    assert table.gain(figures(made), 1, "telea") == 0


def test_some_exact_faces_are_counted_beside_the_mean() -> None:
    made = rows("brush", 1, 18.936, 18.0, 14.0)
    made[0]["hole_psnr"]["infinite"] = 2
    cell = table.family_block(figures(made), "brush").groups[0].lines[0].cells[1]
    assert cell.text == "18.94 ± 2.10 (2 × ∞)"
    assert cell.best


@pytest.mark.parametrize(
    ("key", "values", "best"),
    [
        ("hole_psnr", (19.0, 18.0, 14.0), {"model"}),
        ("hole_psnr", (17.0, 18.0, 14.0), {"telea"}),
        ("hole_psnr", (18.001, 18.004, 14.0), {"model", "telea"}),
        ("lpips", (0.2, 0.3, 0.4), {"model"}),
        ("lpips", (0.4, 0.3, 0.2), {"mean_fill"}),
        ("identity", (0.1, 0.2, 0.15), {"telea"}),
    ],
)
def test_best_by_direction_as_shown(key: str, values: tuple[float, ...], best: set[str]) -> None:
    metric = next(metric for metric in table.METRICS if metric.key == key)
    made = [
        {"method": method, key: summary(value)}
        for method, value in zip(("model", "telea", "mean_fill"), values, strict=True)
    ]
    # the floor is above all of them, and still no method
    assert table.best_methods([*made, {"method": "masked_input", key: summary(0.99)}], metric) == best


def test_families_in_order_and_none_lost(mixed: Row) -> None:
    assert table.families(mixed) == ["brush", "boxes", "held_out", "features/left_eye"]
    blocks = table.blocks(mixed)
    assert [block.title for block in blocks] == ["brush", "boxes", "held out", "left eye"]
    shown = [(b.family, g.level, line.method) for b in blocks for g in b.groups for line in g.lines]
    assert sorted(map(str, shown)) == sorted(str((r["family"], r["level"], r["method"])) for r in mixed["table"])
    assert blocks[-1].is_feature
    assert blocks[-1].groups[0].level is None
    with pytest.raises(KeyError):
        table.family_block(mixed, "scatter")


def test_parts_as_they_are_labelled_come_last_under_names_of_their_own(mixed: Row) -> None:
    labelled = [{**row, "family": "parts/nose", "level": None} for row in mixed["table"] if row["family"] == "boxes"]
    figures = {**mixed, "table": [*labelled, *mixed["table"]]}
    assert set(table.families(figures)[-2:]) == {"features/left_eye", "parts/nose"}
    assert table.family_block(figures, "parts/nose").is_feature
    assert table.family_title("parts/nose") == "nose (outline)" != table.family_title("features/nose")


def test_cells_are_rounded_and_the_floor_has_identity_alone(mixed: Row) -> None:
    lines = table.family_block(mixed, "brush").groups[0].lines
    assert [cell.text for cell in lines[0].cells if cell] == [
        "22.44 ± 2.10",
        "17.44 ± 2.10",
        "0.436 ± 0.031",
        "0.564 ± 0.031",
        "0.349 ± 0.031",
    ]
    assert [cell and cell.text for cell in lines[3].cells] == [None, None, None, None, "0.250 ± 0.031"]
    assert lines[0].n == 12


def test_shortfalls_name_measure_method_and_levels(mixed: Row) -> None:
    assert table.shortfalls(mixed) == [
        "whole PSNR is worse than that of Telea at level 1",
        "SSIM is worse than that of Telea at level 1",
        "LPIPS is worse than that of Telea at level 1",
        "identity is worse than that of Telea at level 1",
    ]
    assert table.shortfalls(figures(rows("brush", 1, 19.0, 18.0, 14.0))) == []
    behind = figures(*(rows("brush", level, 10.0, 12.0, 11.0) for level in (1, 3)))
    assert table.shortfalls(behind)[-1] == (
        "identity is worse than that of Telea at levels 1 and 3, and that of mean fill at levels 1 and 3, "
        "and that of the hidden input itself at levels 1 and 3"
    )
    assert table.shortfalls(figures(rows("brush", 1, 12.0, 11.0, 10.0))) == [
        "identity is worse than that of the hidden input itself at level 1"
    ]


def test_judges_say_whether_they_were_in_the_loss(mixed: Row) -> None:
    lpips, identity = table.judge_notes(mixed)
    assert lpips == "LPIPS: lpips_vgg, not in the loss"
    assert identity.startswith("identity: sface, also in the loss")


def printed(shown: Any, **options: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, **options).print(shown)
    return stream.getvalue()


@pytest.mark.parametrize("family", ["brush", "features/left_eye"])
def test_console_table_fits_and_is_whole(mixed: Row, family: str) -> None:
    for row in mixed["table"]:
        if row["method"] == "telea":
            row["whole_psnr"]["infinite"] = 3
    text = printed(table.console_table(mixed, family))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for block_line in table.family_block(mixed, family).groups[0].lines[:3]:
        assert block_line.label in text
        assert all(f"{cell.mean} ±{cell.spread}" in text for cell in block_line.cells if cell)
    assert "3 × ∞" in text
    assert "hidden input" not in text


def test_console_table_marks_the_best(mixed: Row) -> None:
    text = printed(table.console_table(mixed), force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[1m18.36 ±2.10" in text
    assert "\x1b[1m17.44 ±2.10" not in text
    assert "\x1b[1m17.40 ±2.10" in text


def test_confidence_lines_say_what_is_said_and_what_is(mixed: Row) -> None:
    assert table.confidence_lines(mixed) == []
    rows = [
        confidence_row("brush", 2),
        confidence_row("held_out", 1),
        confidence_row("brush", 1, rank_correlation=None),
        confidence_row("features/left_eye", None),
        confidence_row("brush", 3, rank_correlation=-0.021),
    ]
    mixed["confidence"] = {"threshold": 16, "rows": rows, "reliability": []}
    said = "says 0.62, right on 0.60 of the pixels; Brier 0.21 (a constant guess 0.24); rank correlation"
    assert table.confidence_lines(mixed) == [
        f"confidence, level 1: {said} –",
        f"confidence, level 2: {said} 0.35",
        f"confidence, level 3: {said} −0.02",
    ]


def test_confidence_blocks_in_the_order_of_families(mixed: Row) -> None:
    assert table.confidence_blocks(mixed) == []
    places = [("features/left_eye", None), ("held_out", 1), ("brush", 3), ("brush", 1)]
    rows = [confidence_row(family, level) for family, level in places]
    mixed["confidence"] = {"threshold": 16, "rows": rows, "reliability": []}
    blocks = table.confidence_blocks(mixed)
    assert [(block.title, block.is_feature) for block in blocks] == [
        ("brush", False),
        ("held out", False),
        ("left eye", True),
    ]
    assert [row.label for row in blocks[0].rows] == ["level 1 (10-30 % hidden)", "level 3 (50-70 % hidden)"]
    assert blocks[2].rows[0].label == "left eye"
    first = blocks[0].rows[0]
    assert (first.says, first.right, first.brier, first.constant) == ("0.621", "0.605", "0.214", "0.239")
    assert (first.rank, first.calibration, first.faces, first.pixels) == ("0.351", "0.042", 12, 123_456)


@pytest.mark.parametrize(("brier", "useless"), [(0.2137, False), (0.2389, True), (0.26, True)])
def test_confidence_that_is_no_better_than_one_number_falls_short(mixed: Row, brier: float, useless: bool) -> None:
    """Equal as shown is no better."""
    rows = [confidence_row("brush", 1), confidence_row("brush", 2, brier=brier), confidence_row("held_out", 1, brier=1)]
    mixed["confidence"] = {"threshold": 16, "rows": rows, "reliability": []}
    assert [row.useless for row in table.confidence_rows(mixed, "brush")] == [False, useless]
    said = "confidence is no better than one constant guess (Brier score) at level 2"
    assert (said in table.shortfalls(mixed)) is useless
    assert len(table.shortfalls(mixed)) == 4 + useless


def test_lighting_by_level_and_brightness(mixed: Row) -> None:
    assert table.lighting_groups(mixed) == []
    bright, dark = ("bright", 170), ("dark", 0)
    mixed["lighting"] = [
        lighting_row(*bright, 2, "model", summary(18.5)),
        lighting_row(*bright, 2, "telea", summary(19.0)),
        lighting_row(*dark, 2, "telea", summary(16.0, infinite=1)),
        lighting_row(*dark, 2, "model", summary(17.0)),
        lighting_row(*dark, 1, "model", summary(None, infinite=12)),
        lighting_row(*dark, 1, "telea", summary(None, infinite=12)),
    ]
    one, two = table.lighting_groups(mixed)
    assert (one.label, two.label) == ("level 1 (10-30 % hidden)", "level 2 (30-50 % hidden)")
    assert [(row.condition, row.luma, row.faces) for row in two.rows] == [
        ("dark", "0-85", 12),
        ("bright", "170-255", 12),
    ]
    assert [(row.model, row.telea, row.difference) for row in two.rows] == [
        ("17.00 ± 2.10", "16.00 ± 2.10 (1 × ∞)", "–"),
        ("18.50 ± 2.10", "19.00 ± 2.10", "−0.50"),
    ]
    assert [(row.model, row.telea, row.difference) for row in one.rows] == [("∞", "∞", "0.00")]
