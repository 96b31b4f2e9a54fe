"""Rows are whole on the disk before the next cell begins, whatever a cell does."""

import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.results import CUT_OFF, OK, OUT_OF_MEMORY, CutOffError, Recorder, append, read
from facerecon.errors import FaceReconError


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "results.jsonl", "call", "part", time.monotonic() + 60)


def test_a_torn_line_costs_no_other(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "results.jsonl"
    assert read(file) == []
    append(file, {"row": "call", "call": "a"})
    append(file, {"row": "cell", "call": "a"})
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        append(file, {"row": "cell", "call": "b"})
        assert read(file)[-1] == {"row": "cell", "call": "b"}
        whole = content[:length].count(b"\n") + (content[length : length + 1] == b"\n")
        assert len(read(file)) == whole + 1


@pytest.mark.parametrize(
    ("error", "outcome", "failed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OUT_OF_MEMORY, 0),
        (CutOffError(), CUT_OFF, 0),
        (FaceReconError("no faces"), "no faces", 1),
        (RuntimeError("first\nsecond"), "RuntimeError: first", 1),
    ],
)
def test_what_goes_wrong_is_the_cells_outcome(recorder: Recorder, error: Exception, outcome: str, failed: int) -> None:
    def figures() -> dict[str, float]:
        raise error

    recorder.measure("one", figures, px=64)
    recorder.measure("two", lambda: {"images_per_second": 3.0})
    one, two = read(recorder.file)
    assert (one["outcome"], one["px"], recorder.failed) == (outcome, 64, failed)
    assert (two["outcome"], two["images_per_second"]) == (OK, 3.0)


def test_no_cell_begins_when_the_time_is_up_or_too_short(recorder: Recorder) -> None:
    assert recorder.measure("long", lambda: {"begun": True}, needs=61)["outcome"] == CUT_OFF
    assert recorder.measure("short", lambda: {"begun": True}, needs=1)["begun"]
    recorder.deadline = time.monotonic()
    late = recorder.measure("late", lambda: {"begun": True})
    assert late["outcome"] == CUT_OFF
    assert "begun" not in late
    assert recorder.failed == 0


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        append(tmp_path / "results.jsonl", {"row": "cell", "value": float("nan")})
    assert read(tmp_path / "results.jsonl") == []
