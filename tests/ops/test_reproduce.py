"""What counts as the same, and how a difference is told. A real run is made again in ``tests/pipelines``."""

import json

import pytest

from ops.reproduce import Difference, _compare

FIGURES = {"model": {"weights": "abc"}, "table": [{"method": "model", "family": "brush", "level": 1, "psnr": 20.5}]}


@pytest.fixture
def published(tmp_path):
    def write(name: str, figures: dict, onnx: bytes = b"onnx"):
        (tmp_path / name).mkdir()
        files = {file: tmp_path / name / file for file in ("metrics.json", "model.onnx")}
        files["metrics.json"].write_text(json.dumps(figures))
        files["model.onnx"].write_bytes(onnx)
        return files

    return write


def test_equal_files_are_the_same(published):
    assert _compare(published("then", FIGURES), published("now", FIGURES)) == ([], 5)


def test_a_figure_that_differs_by_a_hair_is_named_with_its_place(published):
    changed = json.loads(json.dumps(FIGURES).replace("20.5", "20.500000001"))
    found, _ = _compare(published("then", FIGURES), published("now", changed))
    assert found == [Difference("table[model brush 1].psnr", "20.5", "20.500000001")]


def test_a_figure_that_is_missing_or_new_is_a_difference(published):
    found, _ = _compare(published("then", FIGURES), published("now", FIGURES | {"lighting": [1]}))
    assert found == [Difference("lighting[0]", "nothing", "1")]


def test_another_onnx_file_is_a_difference(published):
    found, _ = _compare(published("then", FIGURES), published("now", FIGURES, b"other"))
    assert [one.name for one in found] == ["model.onnx (sha256)"]
