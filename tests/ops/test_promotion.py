"""Who becomes champion, against a real MLflow registry on sqlite."""

import json

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import PromotionSettings
from facerecon.models.trained import save_model
from ops import journal
from ops.promotion import as_of_now, champion_before, promote_by_hand, reconcile, rollback, weights_licences

MARGIN = PromotionSettings().margin


def failed(decision: dict) -> set[str]:
    return {check["name"] for check in decision["checks"] if not check["passed"]}


def version(number: int, config: str = "demo"):
    return mlflow.MlflowClient().get_model_version(f"facerecon-{config}", str(number))


# ------------------------------------------------------------------------------------------------------------ the gate


def test_the_first_model_becomes_champion(offer, alias_of):
    decision = offer(1, 20.0)
    assert decision["champion"]
    assert decision["champion_before"] is decision["champion_version"] is None
    assert decision["differences"] == []
    assert alias_of("champion") == alias_of("challenger") == decision["version"] == 1
    assert decision["challenger"]["brush/level_2"] == pytest.approx({"hole_psnr": 18.0, "lpips": 0.2, "identity": 0.6})
    assert list(decision["challenger"]["held_out/level_1"]) == ["hole_psnr"]


def test_a_better_model_becomes_champion(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 20.0 + 2 * MARGIN)
    assert decision["champion"]
    assert decision["champion_version"] == 1
    assert decision["champion_before"]["brush/level_1"]["hole_psnr"] == pytest.approx(19.0)
    assert alias_of("champion") == alias_of("challenger") == 2
    assert json.loads(version(2).tags["decision_record"]) == decision


@pytest.mark.parametrize("gain", [-1.0, 0.0, MARGIN * 0.9])
def test_a_worse_equal_or_hardly_better_model_stays_challenger(offer, alias_of, gain):
    offer(1, 20.0)
    decision = offer(2, 20.0 + gain)
    assert not decision["champion"]
    assert "gain" in failed(decision)
    assert (alias_of("champion"), alias_of("challenger")) == (1, 2)
    assert f"{gain:+.3f} dB" in decision["reason"]
    assert "version 1" in decision["reason"]


def test_the_champion_is_measured_anew_on_todays_gate(offer, make_figures):
    offer(1, 20.0)
    offer.say(1, make_figures(18.0))
    decision = offer(2, 19.0)
    assert decision["champion"]
    assert decision["champion_before"]["brush/level_1"]["hole_psnr"] == pytest.approx(17.0)


def test_figures_that_are_no_numbers_are_not_promoted(offer, alias_of, make_figures):
    broken = make_figures(30.0)
    next(iter(broken.values.values()))[3] = np.nan
    assert not offer(1, broken)["champion"]
    assert alias_of("champion") is None
    offer(2, 20.0)
    decision = offer(1, broken, data_licence="CC0")
    assert not decision["champion"]
    assert failed(decision) == {"challenger's figures"}
    assert decision["challenger"]["brush/level_1"]["hole_psnr"] is None
    assert alias_of("champion") == 2


def test_a_model_without_a_licence_is_not_promoted_until_it_is_named(offer, alias_of):
    decision = offer(1, 20.0, data_licence=" Unknown ")
    assert not decision["champion"]
    assert "no licence is named for the data" in decision["reason"]
    assert (alias_of("champion"), alias_of("challenger")) == (None, 1)
    decision = offer(1, weights_licences={"sface": "Apache-2.0", "found": ""})
    assert not decision["champion"]
    assert decision["reason"] == "no licence is named for the pretrained weights found"
    decision = offer(1)
    assert decision["champion"]
    assert decision["version"] == alias_of("champion") == 1


def test_a_champion_whose_weights_are_gone_or_changed_is_not_replaced(offer, alias_of, make_model):
    offer(1, 20.0)
    save_model(offer.state / "weights-1.safetensors", make_model(7))
    decision = offer(2, 30.0)
    assert "are not those that were registered" in decision["reason"]
    (offer.state / "weights-1.safetensors").unlink()
    decision = offer(3, 30.0)
    assert not decision["champion"]
    assert "are gone" in decision["reason"]
    assert alias_of("champion") == 1
    assert champion_before(decision) is None
    save_model(offer.state / "weights-1.safetensors", make_model(1))
    assert champion_before(decision) is None, "what was not measured is not shown either"
    assert offer(3)["champion"]


def test_weights_that_come_again_restore_a_lost_file(offer, make_model):
    offer(1, 20.0)
    mlflow.MlflowClient().set_model_version_tag("facerecon-demo", "1", "weights_uri", str(offer.state / "lost"))
    offer(1)
    assert version(1).tags["weights_uri"] == str(offer.state / "weights-1.safetensors")
    decision = offer(2, 21.0)
    assert decision["champion"]
    assert champion_before(decision).digest == make_model(1).digest


def test_a_champion_of_another_size_is_not_beaten_by_that_alone(offer, alias_of):
    offer(1, 20.0)
    decision = offer(2, 30.0, size=128)
    assert failed(decision) == {"champion's figures"}
    assert "it was trained on faces of 64 px and would lose on those of 128 px for that alone" in decision["reason"]
    assert decision["differences"] == []
    assert alias_of("champion") == 1
    promote_by_hand("demo/2", "faces are twice as large from now on")
    assert offer(3, 31.0, size=128)["champion"]


def test_configs_do_not_compete(offer, alias_of):
    offer(1, 30.0)
    decision = offer(2, 10.0, config="lfw")
    assert decision["champion"]
    assert decision["registered_model"] == "facerecon-lfw"
    assert alias_of("champion", "lfw") == alias_of("champion") == 1


def test_licences_of_pretrained_weights_are_known_by_name():
    licences = weights_licences(["sface", "facenet", "strange"])
    assert licences["sface"] == "Apache-2.0"
    assert "VGGFace2" in licences["facenet"]
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
    assert not decision["champion"]
    assert decision["champion_version"] == 2
    assert (alias_of("champion"), alias_of("challenger")) == (2, 2)


def test_a_champion_is_not_put_down_by_its_own_weights(offer, alias_of):
    offer(1, 20.0)
    decision = offer(1, data_licence="unknown")
    assert decision["champion"]
    assert decision["reason"].startswith("it is champion already, though no licence")
    before = everything()
    assert offer(1, data_licence="unknown") == decision
    assert everything() == before
    assert alias_of("champion") == 1


def test_an_old_decision_says_what_happened_since(offer):
    first, second = offer(1, 20.0), offer(2, 21.0)
    assert as_of_now(second) == second
    now = as_of_now(first)
    assert not now["champion"]
    assert now["reason"].startswith(first["reason"])
    assert "since then version 2 is champion (run-2: +1.000 dB" in now["reason"]
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
    assert again["champion"]
    assert again["reason"].startswith(refused["reason"])
    assert "by hand: its mouths look better" in again["reason"]


def test_rollback_goes_back_one_champion_at_a_time(offer, alias_of):
    for seed, score in ((1, 20.0), (2, 21.0), (3, 22.0)):
        assert offer(seed, score)["champion"]
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
    assert not again["champion"]
    assert "version 1 is champion (by hand: it smears)" in again["reason"]
    anew = offer(2, data_licence="CC0")
    assert not anew["champion"]
    assert failed(anew) == {"not rolled back"}
    assert "it smears" in anew["reason"]
    assert alias_of("champion") == 1
    promote_by_hand("demo/2", "mended elsewhere")
    assert alias_of("champion") == 2
    assert offer(2, data_licence="CC BY")["champion"]


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("demo/7", "x", "demo has no version 7; there are: 1, 2"),
        ("lfw/1", "x", "no model of config 'lfw'"),
        ("demo/1", "  ", "no reason is given"),
        ("demo/2", "x", "champion of demo already"),
        ("demo@best", "x", "demo has no best"),
        ("De mo", "x", "no version of a model"),
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
    offer(1, 20.0, data_licence="")
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
    assert decision["reason"].startswith("the champion, version 1, was removed in MLflow")
    assert alias_of("champion") is None
    promote_by_hand("demo/2", "the next best")
    assert alias_of("champion") == 2
    assert offer(4, 21.0)["champion"]


def test_a_champion_set_in_mlflow_is_respected_and_written_down(offer):
    offer(1, 20.0)
    offer(2, 19.0)
    mlflow.MlflowClient().set_registered_model_alias("facerecon-demo", "champion", "2")
    reconcile()
    reconcile()
    moves = [entry.move for entry in journal.entries()]
    assert [move.by for move in moves] == ["run-1", "run-2", "MLflow"]
    assert rollback("demo", "a slip of the mouse").champion == (2, 1)
