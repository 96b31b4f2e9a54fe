"""The registered models as people read them."""

import json

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from ops.catalogue import all_versions, lineage
from ops.promotion import promote_by_hand, rollback


def test_every_version_is_listed_with_what_matters(offer, make_scores):
    offer(1, 20.0)
    offer(2, 21.0)
    grades = np.full(24, 20.0)
    grades[0] = np.nan
    offer(3, make_scores(grades), config="lfw", data_licences={"photos": "unknown"})
    demo2, demo1, lfw = all_versions()
    assert (demo2.config, demo2.version, demo2.aliases) == ("demo", 2, ("challenger", "champion"))
    assert (demo1.version, demo1.aliases) == (1, ("anchor",))
    assert demo2.figures == {"hole PSNR, dB": "19.00", "LPIPS": "0.200", "identity": "0.600"}
    assert (demo2.data, demo2.licence) == ("m" * 12, "MIT")
    assert demo2.created.endswith("UTC")
    assert "+1.000 dB" in demo2.decision
    assert (lfw.figures["hole PSNR, dB"], lfw.licence, lfw.aliases) == ("–", "unknown", ("challenger",))
    assert lfw.figures["LPIPS"] == "0.200"


def test_lineage_walks_from_the_version_to_all_that_made_it(offer, make_model):
    for seed, score in ((1, 20.0), (2, 21.0), (3, 22.0)):
        offer(seed, score)
    rollback("demo", "it smears")
    told = dict(lineage("demo/3"))
    assert dict(told["version"])["stands so because"] == "rolled back by hand: it smears"
    assert dict(told["version"])["aliases"] == "challenger"
    assert dict(told["run"])["name"] == "demo-run"
    assert dict(told["code"])["git_commit"] == "c0ffee"
    assert dict(told["code"])["code_digest.train"] == "beef"
    assert dict(told["data"]) == {
        **{"data_licence": "MIT", "data_dvc_digest": "d5c.dir"},
        **{"manifest_digest": "m" * 64, "cases_digest": "unknown"},
    }
    weights = dict(told["weights"])
    assert weights["digest"] == make_model(3).digest
    assert weights["state"] == "there, and those that were registered"
    assert weights["teachers"] == "none"
    assert weights["started from"] == "freshly initialised weights"
    decision = told["gate decision"]
    assert ("champion before", "version 2") in decision
    assert sum(name == "met" for name, _ in decision) == 17
    assert ("anchor", "version 1") in decision
    assert ("gate faces left out", "0") in decision
    assert ("look at these people", "2") in decision
    assert [name for name, _ in told["champions"]] == ["version 2 (present)", "version 1"]
    assert "version 2 rolled back (by hand): it smears (champion 3 -> 2)" in told["journal"][-1][1]
    assert len(told["journal"]) == 4


def test_the_decision_that_made_a_champion_stands_beside_the_latest(offer):
    offer(1, 20.0)
    offer(2, 21.0)
    assert not [said for name, said in dict(lineage("demo/2"))["gate decision"] if name == "made champion"]
    offer(2, data_licences={"photos": "CC0"})
    decision = dict(lineage("demo/2"))["gate decision"]
    assert ("decision", "champion: it is champion already") in decision
    [said] = [said for name, said in decision if name == "made champion"]
    assert said.startswith("+1.000 dB")


OLD = {
    **{"champion": True, "champion_version": None, "reason": "the first", "champion_before": None},
    **{"challenger": {"brush/level_1": {"hole_psnr": 20.5}}, "checks": [], "differences": []},
}
"""A decision as older code kept it, whole in a tag."""


def test_a_version_of_older_code_is_listed_and_has_a_lineage(offer):
    offer(1, 20.0)
    client = mlflow.MlflowClient()
    client.set_model_version_tag("facerecon-demo", "1", "decision_record", json.dumps(OLD))
    client.delete_model_version_tag("facerecon-demo", "1", "gate_figures")
    offer(2, 10.0)
    newer, older = all_versions()
    assert (older.version, older.aliases, older.figures) == (1, ("anchor", "champion"), {})
    assert newer.figures["hole PSNR, dB"] == "8.00"
    told = dict(lineage("demo/1"))
    assert told["gate decision"] == [
        ("decision", "the gate has not decided on it, or an older version of the code did")
    ]
    assert dict(told["version"])["stands so because"].startswith("the first model")


def test_a_decision_that_was_deleted_hides_no_lineage(offer):
    offer(1, 20.0)
    run = mlflow.MlflowClient().get_model_version("facerecon-demo", "1").run_id
    gone = f"runs:/{run}/decisions/none.json"
    mlflow.MlflowClient().set_model_version_tag("facerecon-demo", "1", "decision_record", gone)
    assert all_versions()[0].figures["hole PSNR, dB"] == "18.00"
    told = dict(lineage("demo/1"))
    assert "cannot be read" in dict(told["gate decision"])["decision"]
    assert dict(told["weights"])["state"] == "there, and those that were registered"


def test_a_version_says_whose_weights_it_started_from(offer):
    offer(1, 20.0)
    run = mlflow.MlflowClient().get_model_version("facerecon-demo", "1").run_id
    for name, value in (("initial_weights", "f" * 64), ("initial_weights_from", "facerecon-demo version 7")):
        mlflow.MlflowClient().set_tag(run, name, value)
    weights = dict(dict(lineage("demo/1"))["weights"])
    assert weights["started from"] == f"facerecon-demo version 7 ({'f' * 64})"


def retrained(parent: str, weights: str, **tags: str) -> None:
    """One more version of demo, made by a run of its own that started from the weights of digest ``parent``."""
    client = mlflow.MlflowClient()
    run = client.create_run("0", tags={"initial_weights": parent, **tags}, run_name=f"run of {weights}")
    client.create_model_version("facerecon-demo", "nowhere", run.info.run_id, {"weights_digest": weights})


def test_the_line_of_descent_goes_back_to_the_first(offer, make_model):
    offer(1, 20.0)
    about = {"collected_dvc_digest": "c5.dir", "clips": "6", "retraining_decision": "retrain: 25 new people in train"}
    retrained(make_model(1).digest, "two", git_commit="beef", git_diff_digest="ab" * 32, data_dvc_digest="d5", **about)
    retrained("two", "three")
    told = [(heading, dict(facts)) for heading, facts in lineage("demo/3") if heading.startswith("descent")]
    assert [heading for heading, _ in told] == [f"descent: demo/{number}" for number in (3, 2, 1)]
    third, second, first = (facts for _, facts in told)
    assert (third["parent"], second["parent"]) == ("demo/2", "demo/1")
    assert first["parent"] == "none: freshly initialised weights"
    assert second["commit"] == "beef, uncommitted difference abababababab"
    assert (second["data"], second["collected"], second["new clips"]) == ("d5", "c5.dir", "6")
    assert second["decision"] == "retrain: 25 new people in train"
    assert "new clips" not in first, "it was no retraining"
    assert (first["gate faces left out"], second["gate faces left out"]) == ("0", "unknown")
    assert second["run"].startswith("run of two (")


def test_descent_ends_where_the_parent_is_gone_or_the_line_bites_its_tail(offer):
    offer(1, 20.0)
    retrained("gone", "two")
    retrained("three", "three")
    parents = [
        [dict(facts)["parent"] for heading, facts in lineage(f"demo/{number}") if heading.startswith("descent")]
        for number in (2, 3)
    ]
    assert len(parents[0]) == 1
    assert "no longer registered" in parents[0][0]
    assert parents[1] == ["demo/3"]


def test_lineage_says_what_is_gone(offer):
    offer(1, 20.0)
    offer(2, 10.0)
    promote_by_hand("2", "a try")
    client = mlflow.MlflowClient()
    client.delete_model_version("facerecon-demo", "1")
    (offer.state / "weights-2.safetensors").unlink()
    told = dict(lineage("2"))
    assert told["champions"][1] == ("version 1", "no longer registered")
    assert "are gone" in dict(told["weights"])["state"]
    assert any(name == "NOT MET" for name, _ in told["gate decision"])
    with pytest.raises(FaceReconError, match="demo has no version 1"):
        lineage("demo/1")


JUNK = ("abc", "123", '"x"', "[1]", "[[1, 2, 3]]", '[["x", {}, 2]]', '[["x", 1.0, 1000000000]]', "[" * 100_000)


def test_figures_that_cannot_be_read_are_one_line_and_the_table_is_there(offer, caplog):
    offer(1, 20.0)
    for junk in JUNK:
        mlflow.MlflowClient().set_model_version_tag("facerecon-demo", "1", "gate_figures", junk)
        caplog.clear()
        assert all_versions()[0].figures == {}, junk
        [line] = [record.getMessage() for record in caplog.records if record.name == "ops.catalogue"]
        assert line == "version 1 of facerecon-demo: its tag gate_figures cannot be read"
