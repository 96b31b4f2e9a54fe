"""Decisions as they are kept, and how they count."""

import mlflow
import pytest

from facerecon.evaluation.promotion import Decision
from ops.decisions import decisions_of, looks_at, record_of


def made(published_by, **changed) -> Decision:
    about = {"compared": True, "gate_people": tuple("abcdefgh"), "people_key": "key"}
    return published_by.decision(20.0).model_copy(update=about | changed)


@pytest.mark.parametrize(
    ("changed", "looks"),
    [
        ({}, 2),
        ({"compared": False}, 1),
        ({"gate_people": tuple("abcdxyz")}, 2),
        ({"gate_people": tuple("abcxyz")}, 1),
        ({"gate_people": ()}, 2),
        ({"gate_people": tuple("xyz"), "people_key": "another"}, 2),
        ({"gate_people": tuple("xyz"), "people_key": ""}, 2),
    ],
)
def test_a_decision_counts_if_it_compared_on_at_least_half_of_todays_people(published_by, changed, looks):
    assert looks_at("abcdefgh", "key", [made(published_by, **changed)]) == looks


def test_one_that_cannot_be_read_counts_and_with_none_it_is_the_first_look(published_by):
    assert looks_at("abcdefgh", "key", []) == 1
    assert looks_at("abcdefgh", "key", [None, made(published_by), None]) == 4


def test_all_decisions_of_a_model_are_listed_and_none_is_replaced(offer, monkeypatch):
    first, second = offer(1, 20.0), offer(2, 19.0)
    again = offer(2, data_licences={"photos": "CC0"})
    third = offer(3, 19.5)
    assert [decision.looks for decision in (first, second, again, third)] == [None, 1, 2, 3]
    assert [decision.gain_confidence for decision in (second, again)] == [0.975, 1 - 0.05 / 6]
    client, calls = mlflow.MlflowClient(), []
    real = mlflow.artifacts.download_artifacts
    monkeypatch.setattr(
        mlflow.artifacts, "download_artifacts", lambda *of, **more: calls.append(of) or real(*of, **more)
    )
    assert decisions_of(client, "facerecon-demo") == [first, second, again, third]
    assert len(calls) == 1, "one for each run that registered a version"
    version = client.get_model_version("facerecon-demo", "2")
    assert record_of(version) == again
    client.set_model_version_tag("facerecon-demo", "2", "decisions", f"{version.tags['decisions']},gone")
    assert decisions_of(client, "facerecon-demo") == [first, second, again, None, third]
    client.delete_model_version_tag("facerecon-demo", "2", "decisions")
    assert decisions_of(client, "facerecon-demo") == [first, again, third], "of before all were named"


def test_a_decision_that_a_dying_process_left_does_not_count(offer):
    offer(1, 20.0)
    run = mlflow.MlflowClient().get_model_version("facerecon-demo", "1").run_id
    mlflow.MlflowClient().log_text(run, "{}", "decisions/version-1-123456789abc.json")
    assert offer(2, 21.0).looks == 1
