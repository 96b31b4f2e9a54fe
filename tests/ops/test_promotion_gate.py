"""Whom a champion learned from, the anchor, and proposals: what holds for every promotion."""

import json
import logging

import mlflow
import pytest

from facerecon.data.learned import Learned, key_path, people_key
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Decision
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from ops import journal
from ops.decisions import learned_of, record_of
from ops.promotion import anchor_by_hand, promote_by_hand, reconcile, rollback

PROPOSE = InpaintingPromotionSettings(mode="propose")


def failed(decision: Decision) -> set[str]:
    return {check.name for check in decision.checks if not check.passed}


def version(number: int):
    return mlflow.MlflowClient().get_model_version("facerecon-demo", str(number))


def said(decision: Decision, name: str) -> str:
    [found] = [check.said for check in decision.checks if check.name == name]
    return found


# ------------------------------------------------------------------------------------------------- who it learned from


def test_each_version_keeps_the_marks_of_whom_it_learned_from(offer, make_manifest):
    offer(1, 20.0, faces=make_manifest({"Ada": "train", "Bob": "val", "Di": "test"}))
    key, uri = people_key(), version(1).tags["learned_record"]
    assert uri.startswith(f"runs:/{version(1).run_id}/learned/version-1-")
    stored = mlflow.artifacts.load_dict(uri)
    assert stored["schema_version"] == 1
    assert set(stored["people"]) == {key.person("Ada"), key.person("Bob")}
    assert set(stored["crops"]) == {key.crop(f"crop of photo of {name}") for name in ("Ada", "Bob")}
    assert "Ada" not in json.dumps(stored)
    assert learned_of(version(1), key) == Learned.model_validate(stored)


def test_what_its_ancestors_learned_from_counts_as_its_own(offer, make_manifest):
    key = people_key()
    for number, name in ((1, "Ada"), (2, "Bob"), (3, "Cy")):
        parent = version(number - 1).tags["weights_digest"] if number > 1 else None
        offer(number, 19.0 + number, faces=make_manifest({name: "train"}), parent=parent)
    assert set(learned_of(version(3), key).people) == {key.person(name) for name in ("Ada", "Bob", "Cy")}


def test_nobody_is_measured_on_whom_the_champion_learned_from(offer, make_manifest, make_scores):
    offer(1, 20.0, faces=make_manifest({"person 0": "train", "person 7": "val"}))
    grades = make_scores(20.0).values(*next(iter(make_scores(20.0)))) + 1 + 21.0
    grades[[0, 1]] = 0
    decision = offer(2, make_scores(grades))
    assert decision.champion, "what is left out does not count"
    assert decision.left_out == 4
    assert said(decision, "strangers") == (
        "4 of 24 gate faces are left out: a model learned from the person or the picture"
    )
    assert {row.identities for row in decision.differences} == {10}
    key = people_key()
    assert set(decision.gate_people) == {key.person(f"person {number}") for number in range(12)} - {
        key.person("person 0"),
        key.person("person 7"),
    }
    assert decision.people_key == key.id


def test_with_too_few_people_left_nobody_is_promoted(offer, make_manifest):
    known = {f"person {number}": "train" for number in range(6)}
    offer(1, 20.0, faces=make_manifest(known))
    decision = offer(2, 25.0)
    assert not decision.champion
    assert decision.reason.startswith("6 people at the gate are too few to tell a gain from chance at 0.975")
    offer(3, 20.0, config="all", faces=make_manifest({f"person {number}": "train" for number in range(12)}))
    decision = offer(4, 25.0, config="all")
    assert not decision.champion
    assert "of the gate's 24 faces none is left that no model learned from" in decision.reason


@pytest.mark.parametrize("how", ["before it was kept", "unreadable", "another key"])
def test_a_champion_of_whom_that_is_not_known_is_left_to_a_person(offer, alias_of, how):
    offer(1, 20.0)
    client = mlflow.MlflowClient()
    if how == "before it was kept":
        client.delete_model_version_tag("facerecon-demo", "1", "learned_record")
    elif how == "unreadable":
        client.set_model_version_tag("facerecon-demo", "1", "learned_record", f"runs:/{version(1).run_id}/none.json")
    else:
        key_path().unlink()
    decision = offer(2, 25.0)
    assert not decision.champion
    assert failed(decision) == {"champion's figures"}
    assert "who it learned from is not known" in decision.reason
    assert decision.reason.endswith("decide by `facerecon promote`")
    assert alias_of("champion") == 1
    promote_by_hand("demo/2", "it is known of this one")
    assert failed(offer(3, 26.0)) == {"anchor's figures"}, "beside the first champion nobody can be measured either"
    anchor_by_hand("demo/2", "it is known of this one")
    assert offer(3).champion


def test_a_challenger_that_began_with_weights_nobody_knows_is_left_to_a_person(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 25.0, parent="f" * 64)
    assert failed(decision) == {"champion's figures"}
    assert "no registered version holds the weights that its training started from" in decision.reason
    assert alias_of("champion") == 1


# ---------------------------------------------------------------------------------------------------------- the anchor


def test_the_first_champion_is_the_anchor_and_stays_it(offer, alias_of):
    offer(1, 20.0, data_licences={"photos": ""})
    assert alias_of("anchor") is None
    first = offer(2, 20.0)
    assert alias_of("anchor") == 2 == first.anchor_version
    assert journal.entries()[-1].move.anchor == (None, 2)
    assert offer(3, 21.0).anchor_version == 2
    rollback("demo", "it smears")
    promote_by_hand("demo/1", "why not")
    assert alias_of("anchor") == 2


def test_ten_tolerable_losses_do_not_add_up(offer, make_scores, alias_of):
    """Each is within what is allowed beside its predecessor."""
    promoted = [offer(n, make_scores(20.0 + n / 10, lpips=0.2 + 0.006 * n)).champion for n in range(1, 4)]
    assert promoted == [True, True, False]
    decision = record_of(version(3))
    assert failed(decision) == {"LPIPS no worse, beside the anchor"}
    assert "LPIPS +0.0120 (+0.0120 to +0.0120) beside the anchor, version 1" in decision.reason
    assert said(decision, "LPIPS no worse").startswith("LPIPS +0.0060")
    anchor_by_hand("demo/2", "LPIPS matters less now")
    assert alias_of("anchor") == 2
    assert journal.entries()[-1].move.decision == "made the anchor"
    assert offer(3).champion, "on other grounds it is decided on anew"
    with pytest.raises(FaceReconError, match="version 2 is the anchor of demo already"):
        anchor_by_hand("demo/2", "again")


def test_an_anchor_that_cannot_be_measured_leaves_the_decision_to_a_person(offer, alias_of):
    offer(1, 20.0)
    offer(2, 21.0)
    (offer.state / "weights-1.safetensors").unlink()
    decision = offer(3, 25.0)
    assert failed(decision) == {"anchor's figures"}
    assert "are gone" in decision.reason
    assert "`facerecon promote VERSION --anchor`" in decision.reason
    anchor_by_hand("demo/2", "the next best")
    assert offer(3).champion


def test_a_model_without_an_anchor_gets_its_oldest_former_champion_that_can_be_compared_with(offer, alias_of):
    for number in (1, 2, 3):
        offer(number, 19.0 + number)
    client = mlflow.MlflowClient()
    client.delete_registered_model_alias("facerecon-demo", "anchor")
    (offer.state / "weights-1.safetensors").unlink()
    decision = offer(4, 22.0)
    assert not decision.champion
    assert (decision.anchor_version, alias_of("anchor")) == (2, 2)


def test_an_entry_of_before_there_was_an_anchor_is_read_and_completed(offer, alias_of):
    offer(1, 20.0)
    offer(2, 19.0)
    path = journal.journal_path()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.get("move", {}).pop("anchor", None)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    reconcile()
    assert [entry.outcome for entry in journal.entries()] == ["done", "done"]
    assert alias_of("anchor") == 1


# ------------------------------------------------------------------------------------------------------------- propose


def test_what_meets_the_rule_is_proposed_and_a_person_carries_it_out_within_its_record(offer, alias_of, caplog):
    first = offer(1, 20.0, settings=PROPOSE)
    assert (first.champion, first.proposed) == (False, True)
    assert first.reason.startswith("proposed, `facerecon promote demo/1 --reason ...` makes it champion: the first")
    assert (alias_of("champion"), alias_of("challenger"), alias_of("anchor")) == (None, 1, None)
    assert journal.entries()[-1].move.decision == "proposed"
    promote_by_hand("demo/1", "a beginning")
    assert (alias_of("champion"), alias_of("anchor")) == (1, 1)
    assert record_of(version(1), "promotion_record") == first
    assert version(1).tags["decision"] == "promoted by hand, as proposed: a beginning"
    worse = offer(2, 19.0, settings=PROPOSE)
    assert (worse.champion, worse.proposed) == (False, False)
    better = offer(3, 21.0, settings=PROPOSE)
    assert better.proposed
    assert offer(3, settings=PROPOSE) == better, "the same weights change nothing"
    caplog.clear()
    promote_by_hand("demo/3", "seen and liked")
    assert record_of(version(3), "promotion_record") == better
    assert [r for r in caplog.records if r.name == "ops.promotion" and r.levelno >= logging.WARNING] == []


def test_what_was_proposed_against_another_champion_is_promoted_by_hand_and_that_is_said(offer, alias_of, caplog):
    offer(1, 20.0)
    offer(2, 21.0, settings=PROPOSE)
    offer(3, 22.0)
    caplog.clear()
    promote_by_hand("demo/2", "all the same")
    assert (
        "the champion of demo has changed since version 2 was proposed (then version 1, now version 3): it is promoted "
        "by hand, without the gate"
    ) in caplog.text
    assert alias_of("champion") == 2
    assert record_of(version(2), "promotion_record") is None
