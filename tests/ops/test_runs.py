"""Runs are found by what a user calls them, and their files fetched."""

import mlflow
import pytest

from facerecon.errors import FaceReconError
from ops.runs import fetch, find_run


@pytest.fixture
def three(state):
    """Ids of three runs, two of one name."""
    ids = []
    for name in ("demo-1", "demo-2", "demo-2"):
        with mlflow.start_run(run_name=name) as run:
            mlflow.log_text("<p>", "published/report.html")
            ids.append(run.info.run_id)
    return ids


def test_by_id_by_its_beginning_and_by_name(three):
    assert find_run(three[1]).info.run_id == three[1]
    assert find_run(three[1][:12]).info.run_id == three[1]
    assert find_run("demo-1").info.run_id == three[0]


def test_a_name_of_two_runs_is_refused_with_both(three):
    with pytest.raises(FaceReconError) as caught:
        find_run("demo-2")
    assert all(run_id[:12] in caught.value.message for run_id in three[1:])


@pytest.mark.parametrize("text", ["nothing", ""])
def test_no_such_run_names_the_latest(three, text):
    with pytest.raises(FaceReconError, match="no run is called"):
        find_run(text)
    with pytest.raises(FaceReconError, match=three[2]):
        find_run(text)


def test_files_are_fetched_and_missing_ones_named(three, tmp_path):
    run = find_run("demo-1")
    assert fetch(run, "published/report.html", tmp_path).read_text() == "<p>"
    with pytest.raises(FaceReconError, match=r"demo-1 has no published/metrics.json in MLflow"):
        fetch(run, "published/metrics.json", tmp_path)
