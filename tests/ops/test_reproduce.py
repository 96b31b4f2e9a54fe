"""What counts as the same, and how a difference is told. A real run is made again in ``tests/pipelines``."""

import json
import shutil
import subprocess
from pathlib import Path

import mlflow
import pytest
from dvc.repo import Repo

from facerecon.errors import FaceReconError
from facerecon.models.trained import TrainedModel, save_model
from ops.lineage import dvc_digest
from ops.reproduce import Difference, _compare, _copy_initial, _differing_tags, _environment, _link_data

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
    assert _compare(published("then", FIGURES), published("now", FIGURES)) == ([], 7, 0)


def test_a_figure_that_differs_by_a_hair_is_named_with_its_place(published):
    changed = json.loads(json.dumps(FIGURES).replace("20.5", "20.500000001"))
    found, *_ = _compare(published("then", FIGURES), published("now", changed))
    assert found == [Difference("figures[test hole_psnr model brush 1].mean", "20.5", "20.500000001")]


def test_a_figure_that_is_missing_or_new_is_a_difference(published):
    found, *_ = _compare(published("then", FIGURES), published("now", FIGURES | {"lighting": [1]}))
    assert found == [Difference("lighting[0]", "nothing", "1")]


def test_another_onnx_file_is_a_difference(published):
    found, *_ = _compare(published("then", FIGURES), published("now", FIGURES, b"other"))
    assert [one.name for one in found] == ["model.onnx (sha256)"]


def test_figures_of_face_sets_that_only_a_retraining_has_are_counted_apart(published):
    retrained = FIGURES | {"figures": [ROW | {"face_set": "test_new"}], "face_sets": {"test_old": 12}}
    # the weights alone can be asked of a training; its six figures of `test`, and these seven, cannot
    assert _compare(published("then", retrained), published("now", FIGURES)) == ([], 1, 13)


def test_where_both_have_such_figures_they_are_compared(published):
    sets = [FIGURES | {"face_sets": {"test_old": number}} for number in (12, 11)]
    found, *_ = _compare(published("then", sets[0]), published("now", sets[1]))
    assert found == [Difference("face_sets.test_old", "12", "11")]


def test_figures_of_older_code_are_named_too(published):
    old = {"table": [{"method": "model", "family": "brush", "level": 1, "psnr": 20.5}]}
    new = json.loads(json.dumps(old).replace("20.5", "20.6"))
    found, *_ = _compare(published("then", old), published("now", new))
    assert found == [Difference("table[model brush 1].psnr", "20.5", "20.6")]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A repository of DVC's: what was collected is in its cache as it was, and one clip more now."""
    folder = tmp_path / "project"
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for module in ("ops.reproduce", "ops.lineage"):
        monkeypatch.setattr(f"{module}.PROJECT", folder)
    for name in ("collected/ledger.json", "data/ci/0.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("then")
    subprocess.run(["git", "init", "-q", folder], check=True)
    Repo.init(str(folder)).close()
    with Repo(str(folder)) as repo:
        repo.add([str(folder / "collected")])
    shutil.copytree(folder / ".dvc", tmp_path / "checkout" / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    subprocess.run(["git", "init", "-q", tmp_path / "checkout"], check=True)
    return folder


def link(project: Path, data, **tags: str) -> Path:
    """A checkout beside the project that was given the data of a run."""
    with mlflow.start_run() as run:
        mlflow.set_tags(tags)
    checkout = project.parent / "checkout"
    _link_data(mlflow.get_run(run.info.run_id), {"data": data}, checkout)
    return checkout


OLD_AND_NEW = [{"path": "data/ci"}, {"path": "collected"}, {"path": "/elsewhere"}]


def test_what_was_collected_is_this_clones_unless_it_changed_since(state, project):
    digest = dvc_digest(project / "collected.dvc")
    checkout = link(project, OLD_AND_NEW, collected_dvc_digest=digest)
    assert (checkout / "collected").resolve() == project / "collected"
    assert (checkout / "data").resolve() == project / "data"
    assert digest in (checkout / "collected.dvc").read_text()


def test_what_is_made_again_knows_no_server_and_no_secret_of_it(tmp_path, monkeypatch):
    known = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "ZENML_STORE_URL", "ZENML_ACTIVE_STACK_ID")
    known += ("FACERECON_S3_SECRET", "FACERECON_MLFLOW_PASSWORD", "FACERECON_ZENML_API_KEY", "FACERECON_PEOPLE_KEY")
    for name in known:
        monkeypatch.setenv(name, "of the server")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    made = _environment(tmp_path / "checkout", tmp_path)
    assert "of the server" not in made.values()
    assert made["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert made["FACERECON_STATE"] == str(tmp_path / "state")


@pytest.mark.parametrize("tracked", [True, False])
def test_what_was_collected_comes_out_of_the_cache_if_it_changed_since(state, project, tracked):
    digest = dvc_digest(project / "collected.dvc")
    (project / "collected" / "ledger.json").unlink()
    (project / "collected" / "ledger.json").write_text("now")
    if tracked:
        with Repo(str(project)) as repo:
            repo.add([str(project / "collected")])
    checkout = link(project, OLD_AND_NEW, collected_dvc_digest=digest)
    assert not (checkout / "collected").is_symlink()
    assert (checkout / "collected" / "ledger.json").read_text() == "then"
    assert (project / "collected" / "ledger.json").read_text() == "now"


def test_what_the_cache_has_no_more_is_one_line(state, project):
    with pytest.raises(
        FaceReconError, match=r"^the run's collected/ \(0{32}\.dir\) is not in this clone, nor in DVC's"
    ):
        link(project, {"path": "collected"}, collected_dvc_digest="0" * 32 + ".dir")


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
    assert _compare(published("then", then), published("now", now))[:2] == ([], 3)
    (found, *_), *_ = _compare(published("before", then), published("other", now | {"model": {"weights": "x"}}))
    assert found == Difference("model.weights", "abc", "x")
