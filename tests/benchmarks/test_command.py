"""Files of results: complete, short, and stable."""

import json
from pathlib import Path

from benchmarks.command import write_result


def test_each_member_of_a_list_is_one_line_with_eight_digits(tmp_path: Path) -> None:
    rows = [{"name": "a", "ms": {"50": 1.23456789012}}, {"name": "b", "ms": None}]
    write_result(tmp_path / "result.json", {"machine": {"cores": {"threads": 2}}, "rows": rows, "sizes": [64, 128]})
    assert (tmp_path / "result.json").read_text().splitlines() == [
        "{",
        '  "machine": {',
        '    "cores": {"threads": 2}',
        "  },",
        '  "rows": [',
        '    {"name": "a", "ms": {"50": 1.2345679}},',
        '    {"name": "b", "ms": null}',
        "  ],",
        '  "sizes": [64, 128]',
        "}",
    ]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    result = {"empty": [], "none": {}, "rows": [{"runs": [{"x": 1e-07, "count": 12345678}]}], "text": "ä"}
    write_result(tmp_path / "result.json", result)
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == result
