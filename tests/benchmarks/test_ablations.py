"""The table of one change at a time."""

from dataclasses import asdict

from benchmarks.ablations import ROWS, Row, table
from benchmarks.recipes import Recipe, settings_of


def run(psnr: float, held_out: float) -> dict[str, object]:
    brush = {"hole_psnr": psnr, "lpips": 0.1, "identity": 0.5}
    return {"steps": 100, "figures": {"brush 2": brush, "held out": brush | {"hole_psnr": held_out}}}


def test_rows_hold_mean_deviation_and_difference_to_the_first() -> None:
    rows = [
        {"name": "as it is", "runs": [run(20.0, 18.0), run(21.0, 18.0)]},
        {"name": "other", "runs": [run(19.0, 18.5)]},
    ]
    first, second = table({"rows": rows}).splitlines()[2:]
    assert first.startswith("| as it is | 2 | 20.50 ± 0.71 |")
    assert "| 18.00 ± 0.00 |" in first
    assert second.startswith("| other | 1 | 19.00 (-1.50) | 0.1000 (+0.0000) |")
    assert "| 18.50 (+0.50) |" in second


def test_without_the_unchanged_row_there_is_no_difference() -> None:
    assert (
        table({"rows": [{"name": "other", "runs": [run(19.0, 18.5)]}]})
        .splitlines()[2]
        .startswith("| other | 1 | 19.00 | 0.1000 |")
    )


def test_every_row_is_a_run_that_settings_allow() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert "," not in row.name, "--rows has commas between them"
        assert asdict(row) != asdict(Row(row.name, seeds=row.seeds)) or row is ROWS[0], "a row changes something"
        model = {"family": "unet_fill", "options": {}} | row.model
        recipe = Recipe(model, 1e-3, coarse=row.coarse or 0, curriculum=row.curriculum or "none", changes=row.changes)
        assert settings_of(recipe, 10).model.family == model["family"]
