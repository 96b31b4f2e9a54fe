"""A table of trainings that goes on where it was."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import side_by_side
from benchmarks.side_by_side import add, continued, train_rows
from facerecon.errors import DivergedError
from facerecon.files import write_json


@dataclass(frozen=True)
class Row(side_by_side.Row):
    value: int = 0


ROWS = (Row("first", 1), Row("second", 2), Row("third", 3))


def work(row: Row, seed: int) -> dict[str, object]:
    if row.name == "third":
        raise DivergedError("it has diverged")
    return {"seed": seed, "value": row.value}


def test_a_table_is_continued_under_the_same_conditions_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, conditions = tmp_path / "ablations.json", {"minutes": 5.0, "code": "1f"}
    assert continued(file, conditions) == {"conditions": conditions, "rows": []}
    result = continued(file, conditions)
    add(result, ROWS, ROWS[0], {"seed": 0})
    write_json(file, result)
    assert continued(file, conditions)["rows"][0]["runs"][0]["seed"] == 0
    before = file.read_bytes()
    assert continued(file, conditions | {"code": "2e"})["rows"] == []
    assert "under other conditions (code)" in capsys.readouterr().out
    assert (tmp_path / "ablations.before.json").read_bytes() == before, "nothing is lost"
    assert continued(file, conditions)["rows"] == []


def test_rows_stand_in_their_order_whichever_was_done_first() -> None:
    result: dict[str, object] = {"rows": []}
    for row, seed in ((ROWS[2], 0), (ROWS[0], 1), (ROWS[1], 0), (ROWS[0], 0)):
        add(result, ROWS, row, {"seed": seed})
    order = [(row["name"], [run["seed"] for run in row["runs"]]) for row in result["rows"]]
    assert order == [("first", [0, 1]), ("second", [0]), ("third", [0])]


def test_what_diverges_is_left_out_and_what_is_known_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, tasks = tmp_path / "table.json", [(row, seed) for row in ROWS for seed in (0, 1)]
    conditions = {"minutes": 1}
    done = [(row.name, run["seed"]) for _, row, run in train_rows(out, conditions, ROWS, tasks, work, 2, 1)]
    assert sorted(done) == [("first", 0), ("first", 1), ("second", 0), ("second", 1)]
    assert capsys.readouterr().out.count("it has diverged") == 2
    table = continued(out, conditions)
    assert [(row["name"], row["value"], len(row["runs"])) for row in table["rows"]] == [
        ("first", 1, 2),
        ("second", 2, 2),
    ]
    assert list(train_rows(out, conditions, ROWS, tasks[:4], work, 2, 1)) == []
