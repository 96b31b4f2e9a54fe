"""Who becomes champion, against a real MLflow registry on sqlite."""

import json

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Decision, PromotionSettings
from facerecon.models.trained import save_model
from facerecon.perception.facenet import FaceNet
from ops import journal
from ops.promotion import as_of_now, champion_before, promote_by_hand, reconcile, record_of, rollback, weights_licences

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
    assert stored["schema_version"] == 2
    assert tags["decision"] == decision.reason
    assert len(decision.reason) < 200
    assert json.loads(tags["gate_figures"]) == [
        ["hole PSNR, dB", 19.0, 2],
        ["LPIPS", 0.2, 3],
        ["identity", 0.6, 3],
    ]
    assert record_of(version(2)) == decision


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
    again = offer(1)
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
    assert offer(3, 31.0, size=128).champion


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
