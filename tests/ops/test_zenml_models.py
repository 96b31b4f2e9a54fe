"""ZenML's models follow MLflow's registry, in a ZenML store of the test's own."""

import logging

import mlflow
import pytest
from zenml.client import Client

from ops import journal, zenml_models
from ops.promotion import promote_by_hand, rollback
from ops.zenml_models import follow, start_up


@pytest.fixture
def model(zenml):
    yield "facerecon-demo"
    if any(known.name == "facerecon-demo" for known in zenml.list_models().items):
        zenml.delete_model("facerecon-demo")


def told(zenml: Client) -> dict[str, tuple[str | None, list[str]]]:
    versions = zenml.list_model_versions(model="facerecon-demo", hydrate=True).items
    return {v.name: (v.stage, sorted(tag.name for tag in v.tags)) for v in versions}


def test_stages_and_tags_follow_every_move(offer, zenml, model):
    offer(1, 20.0)
    follow()
    assert told(zenml) == {"mlflow-1": ("production", ["challenger", "champion"])}
    offer(2, 10.0)
    follow()
    assert told(zenml) == {"mlflow-1": ("production", ["champion"]), "mlflow-2": ("staging", ["challenger"])}
    offer(3, 21.0)
    follow()
    assert told(zenml) == {
        **{"mlflow-1": ("archived", []), "mlflow-2": ("archived", [])},
        "mlflow-3": ("production", ["challenger", "champion"]),
    }
    rollback("demo", "it smears")
    follow()
    assert told(zenml) == {
        **{"mlflow-1": ("production", ["champion"]), "mlflow-2": ("archived", [])},
        "mlflow-3": ("staging", ["challenger"]),
    }
    promote_by_hand("3", "it does not")
    follow()
    assert told(zenml)["mlflow-3"] == ("production", ["challenger", "champion"])
    assert told(zenml)["mlflow-1"] == ("archived", [])


def test_a_version_tells_which_one_it_is_in_mlflow(offer, zenml, model, make_model):
    offer(1, 20.0)
    follow()
    metadata = zenml.get_model_version(model, "mlflow-1").run_metadata
    assert (metadata["mlflow_model"], metadata["mlflow_version"]) == (model, 1)
    assert metadata["weights_digest"] == make_model(1).digest
    assert metadata["manifest_digest"] == "m" * 64
    assert metadata["mlflow_run"]


def test_what_is_in_line_is_not_touched(offer, zenml, model, monkeypatch):
    offer(1, 20.0)
    offer(2, 10.0)
    follow()

    def touched(*_, **__):
        raise AssertionError("written again")

    for name in ("update_model_version", "create_model_version", "create_model"):
        monkeypatch.setattr(Client, name, touched)
    monkeypatch.setattr(zenml_models, "log_metadata", touched)
    monkeypatch.setattr(zenml_models.LOG, "warning", touched)
    follow()


def test_zenml_out_of_reach_is_one_warning_and_made_up_for_at_the_next_start(offer, zenml, model, monkeypatch, caplog):
    def gone(*_, **__):
        raise RuntimeError("no route to ZenML\nat all")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "ops.zenml_models"):
        patch.setattr(Client, "get_model", gone)
        decision = offer(1, 20.0)
        follow()
    assert decision.champion
    [line] = [record.getMessage() for record in caplog.records if record.name == "ops.zenml_models"]
    assert line.endswith("the next start makes up for it: no route to ZenML")
    start_up(mlflow.get_tracking_uri())
    assert told(zenml) == {"mlflow-1": ("production", ["challenger", "champion"])}


def test_a_start_completes_what_was_begun_and_zenml_follows(offer, zenml, model, monkeypatch):
    offer(1, 20.0)
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr("ops.promotion._apply", killed)
        with pytest.raises(KeyboardInterrupt):
            offer(2, 21.0)
    assert journal.entries()[-1].outcome is None
    start_up(mlflow.get_tracking_uri())
    assert journal.entries()[-1].outcome == "done"
    assert told(zenml)["mlflow-2"] == ("production", ["challenger", "champion"])


def test_a_start_without_its_tracker_is_one_warning(offer, zenml, caplog):
    (offer.state / "mlflow.db").unlink()
    with caplog.at_level(logging.WARNING, "ops.zenml_models"):
        start_up(mlflow.get_tracking_uri())
    [line] = [record.getMessage() for record in caplog.records if record.name == "ops.zenml_models"]
    assert line.startswith("the registry is not reconciled now: MLflow's database")
