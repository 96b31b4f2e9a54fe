"""Who becomes champion, against a real MLflow registry on sqlite."""

import json
import logging

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Decision, PromotionSettings
from facerecon.models.trained import save_model
from facerecon.perception.facenet import FaceNet
from ops import journal
from ops.decisions import decisions_of, record_of
from ops.promotion import (
    anchor_by_hand,
    as_of_now,
    champion_before,
    promote_by_hand,
    reconcile,
    rollback,
    weights_licences,
)

MARGIN = PromotionSettings().margin


def failed(decision: Decision) -> set[str]:
    return {check.name for check in decision.checks if not check.passed}


def mean(decision: Decision, metric: str, case: str, level: int, whose: str = "challenger") -> float | None:
    [row] = [row for row in decision.means if (row.metric, row.case, row.level) == (metric, case, level)]
    return getattr(row, whose)


def version(number: int, config: str = "demo"):
    return mlflow.MlflowClient().get_model_version(f"facerecon-{config}", str(number))


# ------------------------------------------------------------------------------------------------------------ the gate


def test_the_first_model_becomes_champion(offer, alias_of):
    decision = offer(1, 20.0)
    assert decision.champion
    assert decision.champion_version is None
    assert not decision.compared
    assert decision.differences == ()
    assert decision.registered_model == "facerecon-demo"
    assert alias_of("champion") == alias_of("challenger") == decision.version == 1
    found = [mean(decision, name, "brush", 2) for name in ("hole_psnr", "lpips_vgg", "identity_dlib")]
    assert found == pytest.approx([18.0, 0.2, 0.6])
    assert [row.metric for row in decision.means if (row.case, row.level) == ("held_out", 1)] == ["hole_psnr"]
    assert {row.champion for row in decision.means} == {None}


def test_a_better_model_becomes_champion(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 20.0 + 2 * MARGIN)
    assert decision.champion
    assert decision.champion_version == 1
    assert decision.compared
    assert mean(decision, "hole_psnr", "brush", 1, "champion") == pytest.approx(19.0)
    assert alias_of("champion") == alias_of("challenger") == 2


def test_the_decision_is_a_file_of_the_run_and_the_version_says_where_in_short(offer):
    offer(1, 20.0)
    decision = offer(2, 21.0)
    tags, run = version(2).tags, version(2).run_id
    assert tags["decision_record"].startswith(f"runs:/{run}/decisions/version-2-")
    assert tags["decision_record"].endswith(".json")
    stored = mlflow.artifacts.load_dict(tags["decision_record"])
    assert stored == decision.model_dump(mode="json")
    assert stored["schema_version"] == 3
    assert tags["decision"] == decision.reason
    assert len(decision.reason) < 200
    assert json.loads(tags["gate_figures"]) == [
        ["hole PSNR, dB", 19.0, 2],
        ["LPIPS", 0.2, 3],
        ["identity", 0.6, 3],
    ]
    assert record_of(version(2)) == decision


def test_the_decision_that_made_a_champion_stays_when_it_is_decided_on_again(offer):
    first = offer(1, 20.0)
    made = offer(2, 21.0)
    refused = offer(3, 20.0)
    again = offer(2, data_licences={"photos": "CC0"})
    assert again.reason == "it is champion already"
    assert record_of(version(2)) == again
    assert record_of(version(2), "promotion_record") == made
    assert record_of(version(1), "promotion_record") == first
    assert record_of(version(3)) == refused
    assert record_of(version(3), "promotion_record") is None
    promote_by_hand("demo/3", "it is sharper")
    promote_by_hand("demo/2", "it is not")
    assert record_of(version(2), "promotion_record") is None, "a person made it champion"
    assert record_of(version(2)) == again


def test_a_version_says_task_and_teachers(offer):
    offer(1, 20.0, teachers=("lpips_alex", "sface"))
    offer(2, 21.0)
    assert [version(number).tags["task"] for number in (1, 2)] == ["inpainting"] * 2
    assert [version(number).tags["teachers"] for number in (1, 2)] == ["lpips_alex,sface", "none"]


def test_a_decision_of_older_code_is_none_and_its_version_can_be_beaten_and_decided_on_anew(offer, alias_of):
    offer(1, 20.0)
    client = mlflow.MlflowClient()
    old = json.dumps({"champion": True, "champion_version": None, "reason": "the first", "challenger": {}})
    client.set_model_version_tag("facerecon-demo", "1", "decision_record", old)
    client.delete_model_version_tag("facerecon-demo", "1", "gate_figures")
    assert record_of(version(1)) is None
    client.delete_model_version_tag("facerecon-demo", "1", "decisions")
    again = offer(1)
    assert version(1).tags["decisions"].startswith("older,")
    assert decisions_of(client, "facerecon-demo") == [None, again], "it counts, though nobody knows for what"
    assert again.champion
    assert again.reason == "it is champion already"
    client.set_model_version_tag("facerecon-demo", "1", "decision_record", old)
    assert offer(2, 21.0).champion
    rollback("demo", "a slip")
    assert alias_of("champion") == 1


def test_a_decision_that_is_gone_is_one_line(offer):
    offer(1, 20.0)
    client = mlflow.MlflowClient()
    gone = f"runs:/{version(1).run_id}/decisions/none.json"
    client.set_model_version_tag("facerecon-demo", "1", "decision_record", gone)
    with pytest.raises(FaceReconError, match=r"decision about version 1 of facerecon-demo cannot be read from runs:/"):
        record_of(version(1))


@pytest.mark.parametrize("gain", [-1.0, 0.0, MARGIN * 0.9])
def test_a_worse_equal_or_hardly_better_model_stays_challenger(offer, alias_of, gain):
    offer(1, 20.0)
    decision = offer(2, 20.0 + gain)
    assert not decision.champion
    assert "gain" in failed(decision)
    assert (alias_of("champion"), alias_of("challenger")) == (1, 2)
    assert f"{gain:+.3f} dB" in decision.reason
    assert "version 1" in decision.reason


def test_the_champion_is_measured_anew_on_todays_gate(offer, make_scores):
    offer(1, 20.0)
    offer.say(1, make_scores(18.0))
    decision = offer(2, 19.0)
    assert decision.champion
    assert mean(decision, "hole_psnr", "brush", 1, "champion") == pytest.approx(17.0)


def test_a_champion_whose_figures_are_no_numbers_is_no_opponent(offer, alias_of, make_scores, caplog):
    offer(1, 20.0)
    offer(2, 21.0)
    offer(3, 22.0)
    broken = make_scores(np.where(np.arange(24) == 3, np.nan, 22.0))
    offer.say(3, broken)
    worse = offer(4, 20.5)
    assert not worse.champion
    assert (worse.champion_version, worse.no_opponent) == (2, 3)
    assert failed(worse) >= {"gain"}
    told = "the champion, version 3, is no opponent (not all gate figures of the champion are finite numbers"
    assert told in worse.reason
    assert "version 3, the champion of demo, is no opponent" in caplog.text
    again = offer(4)
    assert again == worse, "the same weights on the same grounds are decided on once"
    better = offer(5, 21.0 + 2 * MARGIN)
    assert better.champion
    assert (better.champion_version, better.no_opponent) == (2, 3)
    assert told in better.reason
    assert alias_of("champion") == 5


def test_of_former_champions_one_rolled_back_or_without_figures_is_no_opponent_either(offer, make_scores):
    for number, grade in ((1, 20.0), (2, 21.0), (3, 22.0), (4, 23.0)):
        offer(number, grade)
    rollback("demo", "it smears")
    broken = make_scores(np.where(np.arange(24) == 3, np.nan, 22.0))
    for number in (2, 3):
        offer.say(number, broken)
    decision = offer(5, 21.0)
    assert decision.champion
    assert (decision.champion_version, decision.no_opponent) == (1, 3)


def test_without_a_former_champion_to_compare_with_a_person_decides(offer, alias_of, make_scores, caplog):
    offer(1, 20.0)
    offer.say(1, make_scores(np.full(24, np.nan)))
    decision = offer(2, 30.0)
    assert not decision.champion
    assert failed(decision) >= {"champion's figures"}
    assert decision.no_opponent is None
    assert "say by `facerecon promote` which version is champion" in caplog.text
    assert alias_of("champion") == 1


def test_figures_that_are_no_numbers_are_not_promoted(offer, alias_of, make_scores):
    grades = np.full(24, 30.0)
    grades[3] = np.nan
    broken = make_scores(grades)
    assert not offer(1, broken).champion
    assert alias_of("champion") is None
    offer(2, 20.0)
    decision = offer(1, broken, data_licences={"photos": "CC0"})
    assert not decision.champion
    assert failed(decision) == {"challenger's figures"}
    assert mean(decision, "hole_psnr", "brush", 1) is None
    assert alias_of("champion") == 2


def test_a_model_without_a_licence_is_not_promoted_until_it_is_named(offer, alias_of):
    decision = offer(1, 20.0, data_licences={"photos": " Unknown "})
    assert not decision.champion
    assert "no licence is named for the data" in decision.reason
    assert (alias_of("champion"), alias_of("challenger")) == (None, 1)
    decision = offer(1, weights_licences={"sface": "Apache-2.0", "found": ""})
    assert not decision.champion
    assert decision.reason == "no licence is named for the pretrained weights found"
    decision = offer(1)
    assert decision.champion
    assert decision.version == alias_of("champion") == 1


def test_a_champion_whose_weights_are_gone_or_changed_is_not_replaced(offer, alias_of, make_model):
    offer(1, 20.0)
    save_model(offer.state / "weights-1.safetensors", make_model(7))
    decision = offer(2, 30.0)
    assert "are not those that were registered" in decision.reason
    (offer.state / "weights-1.safetensors").unlink()
    decision = offer(3, 30.0)
    assert not decision.champion
    assert "are gone" in decision.reason
    assert alias_of("champion") == 1
    assert champion_before(decision) is None
    save_model(offer.state / "weights-1.safetensors", make_model(1))
    assert champion_before(decision) is None, "what was not measured is not shown either"
    assert offer(3).champion


def test_weights_that_come_again_restore_a_lost_file(offer, make_model):
    offer(1, 20.0)
    mlflow.MlflowClient().set_model_version_tag("facerecon-demo", "1", "weights_uri", str(offer.state / "lost"))
    offer(1)
    assert version(1).tags["weights_uri"] == str(offer.state / "weights-1.safetensors")
    decision = offer(2, 21.0)
    assert decision.champion
    assert champion_before(decision).digest == make_model(1).digest


def test_a_champion_of_another_size_is_not_beaten_by_that_alone(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 30.0, size=128)
    assert failed(decision) == {"champion's figures"}
    assert "it was trained with another face size in px (64, the challenger has 128)" in decision.reason
    assert "give the config another name, or decide by `facerecon promote`" in decision.reason
    assert decision.differences == ()
    assert alias_of("champion") == 1
    promote_by_hand("demo/2", "faces are twice as large from now on")
    decision = offer(3, 31.0, size=128)
    assert failed(decision) == {"anchor's figures"}
    assert "say by `facerecon promote VERSION --anchor` which version is the anchor" in decision.reason
    anchor_by_hand("demo/2", "faces are twice as large from now on")
    assert offer(3, size=128).champion


def test_a_champion_of_another_task_is_left_to_a_person(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 30.0, task="restoration")
    assert failed(decision) == {"champion's figures"}
    assert "it was trained with another task (inpainting, the challenger has restoration)" in decision.reason
    assert alias_of("champion") == 1


def test_configs_do_not_compete(offer, alias_of):
    offer(1, 30.0)
    decision = offer(2, 10.0, config="lfw")
    assert decision.champion
    assert decision.registered_model == "facerecon-lfw"
    assert alias_of("champion", "lfw") == alias_of("champion") == 1


def test_licences_of_pretrained_weights_are_known_by_name():
    licences = weights_licences(["sface", "facenet", "strange"])
    assert licences["sface"] == "Apache-2.0"
    assert licences["facenet"] == FaceNet.licence, "of a network that no table of weights names"
    assert licences["strange"] == ""


# ----------------------------------------------------------------------------------------------------- the same again


def everything() -> list:
    """All that the registry and the journal hold."""
    client = mlflow.MlflowClient()
    models = [(m.name, m.aliases, m.tags) for m in client.search_registered_models()]
    versions = [(v.name, v.version, v.tags) for v in client.search_model_versions("")]
    return [models, sorted(versions, key=str), journal.journal_path().read_text()]


@pytest.mark.parametrize("gain", [1.0, -1.0])
def test_the_same_weights_again_change_nothing(offer, gain):
    offer(1, 20.0)
    first = offer(2, 20.0 + gain)
    before = everything()
    assert offer(2) == first
    assert everything() == before


def test_a_former_champion_that_comes_again_loses_again(offer, alias_of):
    offer(1, 20.0)
    offer(2, 21.0)
    decision = offer(1)
    assert not decision.champion
    assert decision.champion_version == 2
    assert (alias_of("champion"), alias_of("challenger")) == (2, 2)


def test_a_champion_is_not_put_down_by_its_own_weights(offer, alias_of):
    offer(1, 20.0)
    decision = offer(1, data_licences={"photos": "unknown"})
    assert decision.champion
    assert decision.reason.startswith("it is champion already, though no licence")
    before = everything()
    assert offer(1, data_licences={"photos": "unknown"}) == decision
    assert everything() == before
    assert alias_of("champion") == 1


def test_an_old_decision_says_what_happened_since(offer):
    first, second = offer(1, 20.0), offer(2, 21.0)
    assert as_of_now(second) == second
    now = as_of_now(first)
    assert not now.champion
    assert now.reason.startswith(first.reason)
    assert "since then version 2 is champion (run-2: +1.000 dB" in now.reason
    offer(3, 10.0)
    assert as_of_now(first) == now


# -------------------------------------------------------------------------------------------------------------- by hand


def test_promotion_by_hand_overrules_the_gate_and_is_written_down(offer, alias_of):
    offer(1, 20.0)
    refused = offer(2, 19.0)
    promote_by_hand("demo/2", "its  mouths look better")
    assert (alias_of("champion"), alias_of("challenger")) == (2, 2)
    last = journal.entries()[-1]
    assert (last.move.by, last.move.reason, last.move.champion) == ("by hand", "its mouths look better", (1, 2))
    assert last.outcome == "done"
    assert last.move.figures == journal.entries()[-2].move.figures != ""
    again = offer(2)
    assert again.champion
    assert again.reason.startswith(refused.reason)
    assert "by hand: its mouths look better" in again.reason


def test_rollback_goes_back_one_champion_at_a_time(offer, alias_of):
    for seed, score in ((1, 20.0), (2, 21.0), (3, 22.0)):
        assert offer(seed, score).champion
    assert rollback(None, "it smears").champion == (3, 2)
    assert (alias_of("champion"), alias_of("challenger")) == (2, 3)
    assert rollback("demo", "so does this one").champion == (2, 1)
    assert alias_of("champion") == 1
    with pytest.raises(FaceReconError, match="nothing to roll back to"):
        rollback("demo", "more")
    promote_by_hand("3", "it was not the model after all")
    assert alias_of("champion") == 3
    assert rollback("demo", "it was").champion == (3, 1)


def test_what_was_rolled_back_by_hand_only_a_hand_puts_back(offer, alias_of):
    offer(1, 20.0)
    offer(2, 21.0)
    rollback("demo", "it smears")
    again = offer(2)
    assert not again.champion
    assert "version 1 is champion (by hand: it smears)" in again.reason
    anew = offer(2, data_licences={"photos": "CC0"})
    assert not anew.champion
    assert failed(anew) == {"not rolled back"}
    assert "it smears" in anew.reason
    assert alias_of("champion") == 1
    promote_by_hand("demo/2", "mended elsewhere")
    assert alias_of("champion") == 2
    assert offer(2, data_licences={"photos": "CC BY"}).champion


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("demo/7", "x", "demo has no version 7; there are: 1, 2"),
        ("lfw/1", "x", "no model of config 'lfw'"),
        ("demo/1", "  ", "no reason is given"),
        ("demo/2", "x", "champion of demo already"),
        ("demo@best", "x", "demo has no best"),
        ("De mo", "x", "'De mo' is not a model version; expected demo/3 or demo@champion"),
    ],
)
def test_nonsense_by_hand_is_refused_in_one_line_and_leaves_no_trace(offer, text, reason, said):
    offer(1, 20.0)
    offer(2, 21.0)
    before = everything()
    with pytest.raises(FaceReconError, match=said):
        promote_by_hand(text, reason)
    assert everything() == before


def test_nobody_is_made_champion_by_hand_whose_weights_are_gone_or_changed(offer, alias_of, make_model):
    offer(1, 20.0)
    offer(2, 21.0)
    save_model(offer.state / "weights-1.safetensors", make_model(9))
    with pytest.raises(FaceReconError, match="are not those that were registered as version 1"):
        promote_by_hand("demo/1", "x")
    (offer.state / "weights-1.safetensors").unlink()
    with pytest.raises(FaceReconError, match="weights of version 1 are gone"):
        rollback("demo", "x")
    assert alias_of("champion") == 2


def test_rollback_without_a_champion_says_so(offer):
    offer(1, 20.0, data_licences={"photos": ""})
    with pytest.raises(FaceReconError, match="demo has no champion"):
        rollback("demo", "x")


@pytest.mark.parametrize("whole", [True, False])
def test_where_a_champion_was_removed_in_mlflow_nothing_is_promoted_as_if_it_were_the_first(offer, alias_of, whole):
    offer(1, 20.0)
    offer(2, 19.0)
    client = mlflow.MlflowClient()
    if whole:
        client.delete_model_version("facerecon-demo", "1")
    else:
        client.delete_registered_model_alias("facerecon-demo", "champion")
    decision = offer(3, 15.0)
    assert failed(decision) == {"champion known"}
    assert decision.reason.startswith("the champion, version 1, was removed in MLflow")
    assert alias_of("champion") is None
    promote_by_hand("demo/2", "the next best")
    assert alias_of("champion") == 2
    assert offer(4, 21.0).champion


def test_a_champion_set_in_mlflow_is_respected_and_written_down(offer):
    offer(1, 20.0)
    offer(2, 19.0)
    mlflow.MlflowClient().set_registered_model_alias("facerecon-demo", "champion", "2")
    reconcile()
    reconcile()
    moves = [entry.move for entry in journal.entries()]
    assert [move.by for move in moves] == ["run-1", "run-2", "MLflow"]
    assert rollback("demo", "a slip of the mouse").champion == (2, 1)


# --------------------------------------------------------------------------------------------- what cannot be written

NO_TEXT = ["caf\udce9", "a\0b", "a\x1b[31mb", "x" * 1001]
"""As a Latin-1 terminal gives it, with NUL, with a control sequence, too long."""


@pytest.mark.parametrize("reason", NO_TEXT, ids=["latin-1", "nul", "escape", "long"])
def test_a_reason_that_cannot_be_kept_is_refused_before_anything_is_written(offer, alias_of, reason):
    offer(1, 20.0)
    offer(2, 21.0)
    before = everything()
    for act in (lambda: promote_by_hand("demo/1", reason), lambda: rollback("demo", reason)):
        with pytest.raises(FaceReconError, match=r"^the reason ") as caught:
            act()
        assert caught.value.message.isascii()
    assert everything() == before
    assert rollback("demo", "in UTF-8: café").champion == (2, 1)


@pytest.mark.parametrize(
    "grounds",
    [
        {"data_licences": {"photos": "L" * 5001}},
        {"data_licences": {"a": "L" * 3000, "b": "L" * 3000}},
        {"data_licences": {"photos": "\udce9"}},
        {"digests": {"manifest_digest": "m" * 6000}},
    ],
)
def test_a_model_whose_tags_mlflow_does_not_take_is_refused_before_it_is_registered(offer, grounds):
    offer(1, 20.0)
    before = everything()
    with pytest.raises(FaceReconError, match=r"^the tag \w+ of the model "):
        offer(2, 21.0, **grounds)
    assert everything() == before
    assert offer(2, 21.0).champion


def test_a_licence_of_weights_may_be_long_because_only_the_record_has_it(offer, alias_of):
    assert offer(1, 20.0, weights_licences={"sface": "L" * 200_000}).champion
    assert offer(2, 19.0, weights_licences={"w" * 6000: ""}).version == 2
    assert version(2).tags["decision"].endswith("…")
    assert len(record_of(version(2)).reason) > 6000


# ------------------------------------------------------------------------------------------- what stands there is odd


def said(caplog) -> list[str]:
    """The warnings of this project since the last call."""
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("ops.") and r.levelno >= logging.WARNING]
    caplog.clear()
    return lines


@pytest.mark.parametrize(
    "spoilt",
    [
        {"tags": {"2": {"decision": "x" * 100_001}}},
        {"tags": {"2": {"decision": "caf\x00"}}},
        {"tags": {"two": {"decision": "x"}}},
        {"tags": {"9": {"decision": "x"}}},
        {"tags": {"2": {"k" * 300: "x"}}},
        {"challenger": (2, 2**31 - 1)},
    ],
)
def test_an_entry_that_can_never_be_completed_is_set_aside_and_hinders_nothing(offer, alias_of, caplog, spoilt):
    offer(1, 20.0)
    offer(2, 21.0)
    move = journal.entries()[-1].move
    begun = journal.intend(journal.Move(**move.__dict__ | {"champion": (2, 1), "version": 1} | first(offer) | spoilt))
    caplog.clear()
    reconcile()
    told = said(caplog)
    assert len(told) == 2
    assert "set aside" in told[1]
    assert {entry.number: entry.outcome for entry in journal.entries()}[begun] == "set aside"
    reconcile()
    assert said(caplog) == []
    assert alias_of("champion") == 2
    promote_by_hand("demo/1", "why not")
    assert rollback("demo", "therefore").champion == (1, 2)
    assert offer(3, 22.0).champion


def first(offer) -> dict:
    return {"weights": version(1).tags["weights_digest"]}


def test_the_entry_of_older_code_that_jammed_the_registry_is_passed_over(offer, alias_of, caplog):
    """Such an entry was written before its text was looked at."""
    offer(1, 20.0)
    offer(2, 21.0)
    line = journal.journal_path().read_text().splitlines()[0]
    jam = json.loads(line)
    jam |= {"number": 3, "move": jam["move"] | {"reason": "caf\udce9", "tags": {"1": {"decision": "caf\udce9"}}}}
    with journal.journal_path().open("a") as stream:
        stream.write(json.dumps(jam) + "\n123\n[]\n")
    reconcile()
    assert [place.split(":")[0].rpartition(" ")[2] for place in said(caplog)] == ["5", "6", "7"]
    reconcile()
    assert said(caplog) == []
    assert promote_by_hand("demo/1", "why not").champion == (2, 1)
    assert offer(3, 22.0).champion


@pytest.mark.parametrize("junk", ["abc", "1,abc", "9" * 40])
def test_champions_that_name_no_versions_are_those_of_the_journal(offer, alias_of, caplog, junk):
    offer(1, 20.0)
    offer(2, 21.0)
    mlflow.MlflowClient().set_registered_model_tag("facerecon-demo", "champions", junk)
    reconcile()
    [line] = said(caplog)
    assert "its tag champions" in line
    reconcile()
    assert said(caplog) == []
    assert mlflow.MlflowClient().get_registered_model("facerecon-demo").tags["champions"] == "1,2"
    assert rollback("demo", "x").champion == (2, 1)


@pytest.mark.parametrize("content", ["{", "123", "\udce9", '{"schema_version": 2, "champion": 7}'])
def test_a_broken_record_is_one_line_and_the_model_is_decided_on_anew(offer, alias_of, caplog, content):
    offer(1, 20.0)
    offer(2, 19.0)
    client, run = mlflow.MlflowClient(), version(2).run_id
    path = offer.state / "mlflow-artifacts" / "broken.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    client.log_artifact(run, str(path))
    client.set_model_version_tag("facerecon-demo", "2", "decision_record", f"runs:/{run}/broken.json")
    caplog.clear()
    assert not offer(2).champion
    [line] = said(caplog)
    assert "cannot be read" in line
    assert record_of(version(2)) is not None
    assert offer(3, 21.0).champion


# ----------------------------------------------------------------------------------------------------- back, and gone


def test_rollback_takes_the_newest_former_champion_that_is_still_there(offer, alias_of, caplog):
    for seed in (1, 2, 3, 4):
        assert offer(seed, 19.0 + seed).champion
    mlflow.MlflowClient().delete_model_version("facerecon-demo", "3")
    (offer.state / "weights-2.safetensors").unlink()
    caplog.clear()
    assert rollback("demo", "it smears").champion == (4, 1)
    [line] = said(caplog)
    assert "version 3: it was deleted in MLflow; version 2: the weights of version 2 are gone" in line
    assert "passed over: version 3" in version(1).tags["decision"]
    assert alias_of("champion") == 1
    with pytest.raises(FaceReconError, match="nothing to roll back to"):
        rollback("demo", "so does this one")


def test_rollback_never_goes_back_to_what_was_itself_rolled_back(offer, alias_of):
    for seed in (1, 2, 3):
        assert offer(seed, 19.0 + seed).champion
    promote_by_hand("demo/2", "softer")
    assert rollback("demo", "it smears").champion == (2, 3)
    assert rollback("demo", "so does this").champion == (3, 1), "version 2 was rolled back"
    promote_by_hand("demo/2", "mended elsewhere")
    promote_by_hand("demo/1", "as it was")
    assert rollback("demo", "no").champion == (1, 2), "a person has put it back"


def test_where_no_former_champion_can_be_had_each_is_named_with_why(offer, alias_of):
    for seed in (1, 2, 3):
        offer(seed, 19.0 + seed)
    client = mlflow.MlflowClient()
    client.delete_model_version("facerecon-demo", "1")
    client.set_model_version_tag("facerecon-demo", "2", "rolled_back", "it smears")
    before = everything()
    told = (
        r"no former champion .*version 2: it was rolled back itself \(it smears\); version 1: it was deleted in MLflow"
    )
    with pytest.raises(FaceReconError, match=told):
        rollback("demo", "x")
    assert everything() == before


def test_a_version_set_champion_in_mlflow_is_not_said_to_be_rolled_back(offer, alias_of):
    offer(1, 20.0)
    offer(2, 21.0)
    rollback("demo", "it smears")
    mlflow.MlflowClient().set_registered_model_alias("facerecon-demo", "champion", "2")
    reconcile()
    assert version(2).tags["decision"] == "promoted in MLflow: its alias was set in MLflow, past this project"
    assert version(2).tags["rolled_back"] == ""
    assert offer(2, data_licences={"photos": "CC0"}).champion


@pytest.mark.parametrize("deleted", [True, False])
def test_after_a_registered_model_was_renamed_or_deleted_no_model_is_the_first(offer, alias_of, deleted):
    offer(1, 20.0)
    client = mlflow.MlflowClient()
    if deleted:
        client.delete_registered_model("facerecon-demo")
    else:
        client.rename_registered_model("facerecon-demo", "facerecon-old")
    decision = offer(2, 10.0)
    assert failed(decision) == {"champion known"}
    assert "facerecon-demo had a champion, version 1, as the journal knows" in decision.reason
    assert alias_of("champion") is None
    assert not offer(3, 9.0).champion, "nor is the next"
    promote_by_hand("demo/1", "a new beginning")
    assert alias_of("champion") == 1
    assert offer(4, 20.0).champion
