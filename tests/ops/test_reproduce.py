"""What counts as the same, and how a difference is told. A real run is made again in ``tests/pipelines``."""

import json

import mlflow
import pytest

from facerecon.errors import FaceReconError
from facerecon.models.trained import TrainedModel, save_model
from ops.reproduce import Difference, _compare, _copy_initial, _differing_tags

ROW = {"face_set": "test", "metric": "hole_psnr", "case": "brush", "level": 1, "method": "model", "mean": 20.5}
FIGURES = {"model": {"weights": "abc"}, "figures": [ROW]}


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
    assert _compare(published("then", FIGURES), published("now", FIGURES)) == ([], 7)


def test_a_figure_that_differs_by_a_hair_is_named_with_its_place(published):
    changed = json.loads(json.dumps(FIGURES).replace("20.5", "20.500000001"))
    found, _ = _compare(published("then", FIGURES), published("now", changed))
    assert found == [Difference("figures[test hole_psnr model brush 1].mean", "20.5", "20.500000001")]


def test_a_figure_that_is_missing_or_new_is_a_difference(published):
    found, _ = _compare(published("then", FIGURES), published("now", FIGURES | {"lighting": [1]}))
    assert found == [Difference("lighting[0]", "nothing", "1")]


def test_another_onnx_file_is_a_difference(published):
    found, _ = _compare(published("then", FIGURES), published("now", FIGURES, b"other"))
    assert [one.name for one in found] == ["model.onnx (sha256)"]


def test_figures_of_older_code_are_named_too(published):
    old = {"table": [{"method": "model", "family": "brush", "level": 1, "psnr": 20.5}]}
    new = json.loads(json.dumps(old).replace("20.5", "20.6"))
    found, _ = _compare(published("then", old), published("now", new))
    assert found == [Difference("table[model brush 1].psnr", "20.5", "20.6")]


def test_initial_weights_are_those_of_the_digest_wherever_the_alias_stands_now(offer, make_model, tmp_path):
    offer(1, 20.0)
    offer(2, 21.0)
    first = make_model(1).digest
    path = _copy_initial(first, "demo@champion", tmp_path)
    assert path.parent == tmp_path
    assert TrainedModel.read(path).digest == first


def test_initial_weights_that_were_a_file_are_taken_from_it_unless_it_changed(offer, make_model, tmp_path):
    file = tmp_path / "mine.safetensors"
    save_model(file, make_model(5))
    digest = make_model(5).digest
    assert TrainedModel.read(_copy_initial(digest, str(file), tmp_path)).digest == digest
    save_model(file, make_model(6))
    with pytest.raises(FaceReconError, match=r"weights that the run started from .* put them back"):
        _copy_initial(digest, str(file), tmp_path)


def test_where_initial_weights_lay_is_no_difference_but_which_is(state):
    runs = []
    for digest, source in (("a", "facerecon-demo version 3"), ("a", "file initial.safetensors"), ("b", "file x")):
        with mlflow.start_run() as run:
            mlflow.set_tags({"initial_weights": digest, "initial_weights_from": source})
        runs.append(mlflow.get_run(run.info.run_id))
    assert _differing_tags(runs[0], runs[1]) == []
    assert _differing_tags(runs[0], runs[2]) == [Difference("initial_weights", "a", "b")]


def test_a_retrainings_figures_of_face_sets_are_not_asked_of_a_training(published):
    then = FIGURES | {"data": "d", "cases": "c", "face_sets": [{"name": "test_old"}], "comparisons": []}
    now = FIGURES | {"data": "d", "cases": "c"}
    assert _compare(published("then", then), published("now", now)) == ([], 3)
    (found, *_), _ = _compare(published("before", then), published("other", now | {"model": {"weights": "x"}}))
    assert found == Difference("model.weights", "abc", "x")
