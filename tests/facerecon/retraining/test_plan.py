"""Whether to retrain: each reason for and against, in words with figures."""

import pytest

from facerecon.evaluation.probe import Probe
from facerecon.retraining.plan import Parent, Plan, decide
from facerecon.retraining.settings import DecisionSettings

PARENT = Parent("demo/3", age=2.0)
ENOUGH = {"train": 20, "val": 6, "gate": 5, "test": 5}


def probe(low: float | None, people: int = 9) -> Probe:
    high, mean = (None, 0.4) if low is None else (low + 0.1, low + 0.05)
    return Probe(metric="hole PSNR", unit="dB", mean=mean, low=low, high=high, people=people, faces=30, confidence=0.95)


def asked(settings: DecisionSettings, found: Probe | None, people: dict[str, int] = ENOUGH, **parent: object) -> Plan:
    given = Parent("demo/3", **{"age": 2.0, **parent})  # type: ignore[arg-type]
    return decide(settings, given, people, lambda: found)


def never() -> Probe | None:
    raise AssertionError("the probe was asked though its answer does not count")


def test_without_a_champion_the_first_model_is_trained():
    plan = decide(DecisionSettings(), None, {"train": 0}, never)
    assert (plan.kind, plan.trains, plan.parent) == ("first", True, "")
    assert plan.said == "train the first model: there is no champion yet"


def test_enough_people_and_a_probe_that_promises_enough():
    plan = asked(DecisionSettings(), probe(0.38))
    assert plan.kind == "retraining"
    assert plan.said == (
        "retrain: 20 new people in train (20 needed), probe +0.43 dB of hole PSNR (+0.38 to +0.48) on 9 new people, at "
        "its low end 0.15 dB needed"
    )


@pytest.mark.parametrize(
    ("low", "retrains"), [(0.15, True), (0.1499, False), (0.1, False), (-0.2, False), (None, False)]
)
def test_the_low_end_of_the_probe_decides(low: float | None, retrains: bool) -> None:
    assert asked(DecisionSettings(), probe(low)).trains is retrains


def test_with_too_few_people_the_probe_is_not_asked():
    plan = decide(DecisionSettings(), PARENT, ENOUGH | {"train": 19}, never)
    assert (plan.kind, plan.reason) == ("nothing", "19 new people in train, 20 needed")


def test_a_family_without_a_prior_skips_the_probe_and_says_so():
    plan = asked(DecisionSettings(), None)
    assert plan.trains
    assert "no probe, for this family has nothing to refit" in plan.reason


def test_nobody_in_val_is_no_promise():
    nobody = probe(None, 0).model_copy(update={"mean": None})
    plan = asked(DecisionSettings(), nobody)
    assert not plan.trains
    assert "no hole PSNR, for no new person is in val" in plan.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trained_in": "version 4"}, "version 4 was trained on the same data, code and settings"),
        ({"unknown": "it was hashed with another key"}, "nobody knows whom demo/3 learned from"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_nothing_forces_what_was_done_or_cannot_be_judged(change: dict[str, str], said: str, force: bool) -> None:
    given = Parent("demo/3", age=2.0, **change)  # type: ignore[arg-type]
    plan = decide(DecisionSettings(force=force, max_age_days=1), given, ENOUGH, never)
    assert not plan.trains
    assert said in plan.reason


@pytest.mark.parametrize("settings", [DecisionSettings(), DecisionSettings(force=True, max_age_days=1)])
def test_a_champion_that_has_learned_from_everybody_stays(settings: DecisionSettings) -> None:
    assert not decide(settings, PARENT, {"train": 0, "gate": 7}, never).trains


def test_forced_it_says_what_the_probe_would_have():
    plan = asked(DecisionSettings(force=True), probe(0.01), ENOUGH | {"train": 1})
    assert plan.trains
    assert "forced by retraining.decision.force (1 new people in train, probe +0.06 dB" in plan.reason


def test_an_old_champion_is_retrained_without_a_probe():
    settings = DecisionSettings(max_age_days=30)
    assert decide(settings, Parent("demo/3", age=31), {"train": 1}, never).reason.startswith("demo/3 is 31 days old")
    assert not decide(settings, Parent("demo/3", age=29), {"train": 1}, never).trains
