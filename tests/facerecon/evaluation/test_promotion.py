"""The rule of promotion: each condition alone can keep a challenger from becoming champion.

Most is shown with the rule of inpainting; what other tasks ask for, with rules of their own.
"""

from typing import Any

import numpy as np
import pytest

from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.promotion import (
    Check,
    Decision,
    Guard,
    Opponent,
    PromotionSettings,
    Rule,
    decide,
)
from facerecon.evaluation.scores import Scores
from facerecon.evaluation.sign_flip import sign_flip_interval
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings

SETTINGS = InpaintingPromotionSettings()
WEIGHTS = {"sface": "Apache-2.0", "lpips_vgg": "BSD-2-Clause"}
PEOPLE = tuple(f"person {index // 2}" for index in range(24))
NOISE = np.random.default_rng(0).normal(0, 1, 24)
NOISE -= NOISE.mean()

Values = float | np.ndarray


def people_of(people: tuple[str, ...] = PEOPLE) -> dict[str, str]:
    return {f"face {index}": person for index, person in enumerate(people)}


def scores_of(figures: dict[tuple[str, str, int, str], Values], faces: int = 24) -> Scores:
    """Scores on the gate by (metric, case, level, method)."""
    scores = Scores()
    for (metric, case, level, method), values in figures.items():
        key = MetricKey("gate", metric, case, level)
        scores.add(key, method, [f"face {index}" for index in range(faces)], np.zeros(faces) + values)
    return scores


def figures(faces: int = 24, families: tuple[str, ...] = ("brush", "scatter"), **added: Values) -> Scores:
    """The same figures for every face, but for what is ``added``: to all of a metric, or to ``scatter_2`` alone."""
    found: dict[tuple[str, str, int, str], Values] = {}
    for family in families:
        for level in (1, 2, 3):
            metrics = {"hole_psnr": 20.0 - level, "lpips_vgg": 0.2, "identity_dlib": 0.6}
            for metric, value in metrics.items() if family == "brush" else [("hole_psnr", 18.0)]:
                more = added.get(f"{family}_{level}", 0.0) if metric == "hole_psnr" else 0.0
                found[metric, family, level, "model"] = value + added.get(metric.partition("_v")[0], 0.0) + more
    return scores_of(found, faces)


def judge(challenger: Scores, opponent: Opponent | None, **changed: Any) -> Decision:
    fields = {key: value for key, value in changed.items() if key in InpaintingPromotionSettings.model_fields}
    settings = SETTINGS.model_copy(update=fields)
    people = people_of(changed.get("people", PEOPLE))
    more = {name: changed[name] for name in ("anchor", "looks", "left_out") if name in changed}
    licences = changed.get("licences", {"photos": changed.get("licence", "MIT")}), changed.get("weights", WEIGHTS)
    return decide(challenger, opponent, people, settings.rule, settings.metrics, *licences, **more)


def against(challenger: Scores, champion: Scores | None = None, **changed: Any) -> Decision:
    return judge(challenger, Opponent(3, champion or figures()), **changed)


def changed_at(scores: Scores, key: MetricKey, values: np.ndarray | None) -> Scores:
    """The scores with other values of the model under a key, or none."""
    made = Scores()
    for other, method in scores:
        found = values if other == key else scores.values(other, method)
        if found is not None:
            made.add(other, method, scores.faces(other, method), found)
    return made


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def test_a_clear_gain_wins_and_says_by_how_much():
    decision = against(figures(hole_psnr=0.3 + NOISE * 0.05))
    assert decision.champion
    assert failed(decision) == []
    assert decision.reason.startswith("+0.300 dB of hole PSNR (+0.")
    assert "against version 3" in decision.reason


def test_every_condition_is_listed_with_what_was_found():
    names = [check.name for check in against(figures()).checks]
    assert names == [
        *("data licence", "weights licences", "challenger's figures", "champion's figures", "same faces"),
        *("enough people", "gain", "gain beyond chance", "LPIPS no worse", "identity no worse"),
        "every family and level",
    ]


@pytest.mark.parametrize(
    ("added", "condition"),
    [
        ({"hole_psnr": 0.04}, "gain"),
        ({"hole_psnr": 0.3 + NOISE * 3}, "gain beyond chance"),
        ({"hole_psnr": 0.3, "lpips": 0.0101}, "LPIPS no worse"),
        ({"hole_psnr": 0.3, "lpips": 0.005 + NOISE * 0.03}, "LPIPS no worse"),
        ({"hole_psnr": 0.3, "identity_dlib": -0.0051}, "identity no worse"),
        ({"hole_psnr": 0.3, "identity_dlib": -0.0033 + NOISE * 0.0167}, "identity no worse"),
        ({"hole_psnr": 0.3, "scatter_2": -0.51}, "every family and level"),
        ({"hole_psnr": 0.9, "brush_1": -1.11}, "every family and level"),
    ],
)
def test_each_condition_alone_keeps_the_champion(added, condition):
    decision = against(figures(**added))
    assert not decision.champion
    assert failed(decision) == [condition]
    assert decision.reason == next(check.said for check in decision.checks if not check.passed)


@pytest.mark.parametrize(
    "added",
    [
        {"hole_psnr": 0.0501},
        {"hole_psnr": 0.3, "lpips": 0.0099},
        {"hole_psnr": 0.3, "identity_dlib": -0.0049},
        {"hole_psnr": 0.3, "scatter_2": -0.49},
        {"hole_psnr": 0.3, "lpips": -0.1, "identity_dlib": 0.3},
    ],
)
def test_within_what_is_allowed_it_wins(added):
    assert against(figures(**added)).champion


def test_the_rule_is_what_the_settings_say():
    assert not against(figures(hole_psnr=0.3), margin=0.4).champion
    assert against(figures(hole_psnr=0.3, lpips=0.05), max_lpips_loss=0.06).champion
    assert against(figures(hole_psnr=0.3, identity_dlib=-0.2), max_identity_loss=0.25).champion
    assert against(figures(hole_psnr=0.3, scatter_1=-1), max_hole_psnr_loss=1.0).champion
    doubtful = figures(hole_psnr=0.3, identity_dlib=-0.002 + NOISE * 0.01)
    assert against(doubtful, confidence=0.8).champion
    assert not against(doubtful, confidence=0.99).champion
    assert SETTINGS.mode == "automatic"


def test_the_more_looks_at_the_same_people_the_surer_a_gain_must_be():
    """The guards keep their confidence; without people enough for a level nobody is promoted, and it says how many."""
    noisy = figures(hole_psnr=0.3 + NOISE * 0.3)
    first, ninth, tenth = (against(noisy, looks=looks) for looks in (1, 9, 10))
    assert (first.champion, first.looks, first.gain_confidence) == (True, 1, 0.975)
    assert [row.confidence for row in first.differences] == [0.975] + [None] * 14
    assert failed(ninth) == ["gain beyond chance"]
    assert "at 0.999444, look 9 at these people: -0." in ninth.reason
    assert first.differences[1:] == ninth.differences[1:]
    assert ninth.differences[0].low < first.differences[0].low < first.differences[0].high < ninth.differences[0].high
    assert failed(tenth) == ["enough people", "gain beyond chance"]
    assert tenth.reason.startswith(
        "12 people at the gate are too few to tell a gain from chance at 0.999545, look 10 at these people: 13 are "
        "needed, give more people"
    )


def test_the_interval_is_over_people_whichever_faces_are_theirs():
    """Faces of one person that are alike tell less than faces that are not: who is whose decides the width."""
    values, widths = 0.3 + np.tile(np.linspace(-1, 1, 12), 2), []
    for people in ([index % 12 for index in range(24)], [min(index, 23 - index) for index in range(24)]):
        names = tuple(f"person {number}" for number in people)
        gain, *_, row, _, _ = against(figures(hole_psnr=values), people=names).differences[:6]
        expected = paired_interval(values, names, SETTINGS.resamples, SETTINGS.confidence, SETTINGS.seed)
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
        assert gain.identities == row.identities == 12
        judged = sign_flip_interval(values, names, 0.975)
        assert (gain.low, gain.high) == pytest.approx((judged.low, judged.high))
        widths.append((gain.high - gain.low, row.high - row.low))
    assert (np.array(widths[0]) > 5 * np.array(widths[1])).all(), (
        "with their opposites as their second faces all people are the same"
    )


def test_differences_have_a_row_for_each_measure():
    rows = against(figures(hole_psnr=0.3 + NOISE * 0.1, lpips=-0.01)).differences
    assert [(row.metric, row.case, row.level) for row in rows] == [
        *((metric, "brush", None) for metric in ("hole_psnr", "lpips_vgg", "identity_dlib")),
        *(("hole_psnr", case, level) for case in ("brush", "scatter") for level in (1, 2, 3)),
        *((metric, "brush", level) for metric in ("identity_dlib", "lpips_vgg") for level in (1, 2, 3)),
    ]
    assert rows[0].mean == pytest.approx(0.3)
    assert rows[0].low < 0.3 < rows[0].high
    assert rows[1].mean == pytest.approx(-0.01)
    assert {row.identities for row in rows} == {12}


@pytest.mark.parametrize("people", [1, 2, 5])
def test_too_few_people_cannot_make_a_champion(people):
    few = tuple(f"person {number}" for number in range(people))
    decision = against(figures(people, hole_psnr=5.0), figures(people), people=few)
    assert not decision.champion
    assert decision.reason.startswith(
        f"{people} people at the gate are too few to tell a gain from chance at 0.975, look 1 at"
    )
    assert failed(decision) == ["enough people", "gain beyond chance", "LPIPS no worse", "identity no worse"]
    assert decision.differences[0].low is None
    assert "(also not met: gain beyond chance, LPIPS no worse, identity no worse)" in decision.reason


@pytest.mark.parametrize("licence", ["", "  ", "unknown", "Unknown ", "N/A"])
def test_an_unnamed_licence_keeps_even_the_first_model_back(licence):
    for data, weights in ((licence, WEIGHTS), ("MIT", WEIGHTS | {"found": licence})):
        decision = judge(figures(), None, licence=data, weights=weights)
        assert not decision.champion
        assert "no licence is named" in decision.reason
    assert failed(against(figures(hole_psnr=1.0), licence=licence)) == ["data licence"]
    assert failed(against(figures(hole_psnr=1.0), weights={"found": licence})) == ["weights licences"]


def test_of_several_sources_each_must_name_its_licence():
    decision = judge(figures(), None, licences={"photos": "MIT", "door": "own"})
    assert "the data's licence is named: MIT; own" in [check.said for check in decision.checks]
    decision = judge(figures(), None, licences={"photos": "MIT", "door": "unknown", "yard": ""})
    assert failed(decision) == ["data licence"]
    assert decision.reason.startswith("no licence is named for the data from door, yard: ")


def test_the_first_model_wins_with_finite_figures_and_named_licences():
    decision = judge(figures(1), None, weights={})
    assert decision.champion
    assert (decision.differences, decision.champion_version, decision.compared) == ((), None, False)
    assert len(decision.checks) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_figure_that_is_no_finite_number_on_one_face_is_enough(bad):
    key = MetricKey("gate", "hole_psnr", "scatter", 3)
    broken = changed_at(figures(hole_psnr=9.0), key, np.where(np.arange(24) == 5, bad, 9.0))
    for decision in (judge(broken, None), against(broken)):
        assert not decision.champion
        assert failed(decision) == ["challenger's figures"]
        assert "hole_psnr of scatter level 3" in decision.reason
        assert next(mean.challenger for mean in decision.means if (mean.case, mean.level) == ("scatter", 3)) is None
    decision = against(figures(hole_psnr=9.0), broken)
    assert failed(decision) == ["champion's figures"]
    assert decision.differences == ()


@pytest.mark.parametrize("metric", ["hole_psnr", "lpips_vgg", "identity_dlib"])
def test_a_missing_figure_keeps_the_champion(metric):
    lacking = changed_at(figures(hole_psnr=9.0), MetricKey("gate", metric, "brush", 2), None)
    decision = against(lacking)
    assert not decision.champion
    assert f"{metric} of brush level 2" in decision.reason
    assert "challenger's figures" in failed(decision)
    assert not judge(lacking, None).champion
    assert not judge(Scores(), None).champion


def test_two_models_measured_differently_are_not_compared():
    others = scores_of({}, 24)
    for key, method in figures():
        others.add(key, method, [f"face {index}" for index in range(24)][::-1], figures().values(key, method))
    for other in (others, figures(families=("brush",)), figures(20)):
        decision = against(figures(hole_psnr=9.0), other)
        assert failed(decision) == ["same faces"]
        assert decision.differences == ()


def test_a_champion_that_cannot_be_measured_stays():
    decision = judge(figures(hole_psnr=9.0), Opponent(3, None, "its weights are gone"))
    assert not decision.champion
    assert not decision.compared
    assert decision.reason == "the champion, version 3, cannot be measured: its weights are gone"


def test_a_decision_is_kept_as_json_and_refused_for_a_reason_above_the_figures():
    decision = against(figures(hole_psnr=0.3 + NOISE * 0.05))
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
    assert decision.rule == SETTINGS.model_dump(mode="json")
    assert (decision.gate_metric, decision.gate_case, decision.compared) == ("hole_psnr", "brush", True)
    assert decision.gate_mean("hole_psnr") == pytest.approx(18.3)
    assert decision.gate_mean("hole_psnr", "scatter") == pytest.approx(18.3)
    assert decision.gate_mean("lpips_vgg", "scatter") is None
    check = Check(name="size", passed=False, said="the champion is of another size")
    refused = decision.refused(check)
    assert (refused.champion, refused.reason) == (False, "the champion is of another size")
    assert refused.checks == (*decision.checks, check)
    assert decision.champion, "the decision itself is unchanged"


# ---------------------------------------------------------------------------------------------------------- the anchor


def test_what_may_not_be_lost_to_the_champion_may_not_be_lost_to_the_anchor():
    """Each alone is within what is allowed; together they are not."""
    ours = figures(hole_psnr=0.3, lpips=0.016, identity_dlib=-0.008, scatter_2=-0.6)
    champion = figures(lpips=0.008, identity_dlib=-0.004, scatter_2=-0.2)
    assert against(ours, champion).champion
    decision = against(ours, champion, anchor=Opponent(1, figures()))
    names = ("LPIPS no worse", "identity no worse", "every family and level")
    assert failed(decision) == [f"{name}, beside the anchor" for name in names]
    assert decision.anchor_version == 1
    assert decision.reason.startswith(
        "LPIPS +0.0160 (+0.0160 to +0.0160) beside the anchor, version 1; no more than 0.01 higher is allowed"
    )
    assert [(row.level, row.mean) for row in decision.differences][:1] == [(None, pytest.approx(0.3))], (
        "to the champion"
    )
    assert against(ours, champion, anchor=Opponent(1, champion)).champion


def test_an_anchor_that_cannot_be_compared_with_leaves_the_decision_to_a_person():
    ours = figures(hole_psnr=0.3)
    key = MetricKey("gate", "hole_psnr", "scatter", 3)
    broken = changed_at(figures(), key, np.where(np.arange(24) == 5, np.nan, 9.0))
    assert failed(against(ours, anchor=Opponent(1, None, "its weights are gone"))) == ["anchor's figures"]
    assert failed(against(ours, anchor=Opponent(1, broken))) == ["anchor's figures"]
    assert failed(against(ours, anchor=Opponent(1, figures(20)))) == ["same faces, anchor"]
    assert judge(ours, None, anchor=Opponent(1, None, "gone")).champion, "the first champion has none"


# ------------------------------------------------------------------------------------------- old faces beside new ones


def on_sets(old: dict[str, Values], new: dict[str, Values]) -> Scores:
    """The same faces' names with ``new`` for new ones; old ones are ``figures`` too."""
    scores = Scores()
    for face_set, added in (("gate_old", old), ("gate_new", new)):
        found = figures(**added)
        for key, method in found:
            named = [f"{face_set[5:]} {face}" for face in found.faces(key, method)]
            scores.add(MetricKey(face_set, key.metric, key.case, key.level), method, named, found.values(key, method))
    return scores


def sets_judged(old: dict[str, Values], new: dict[str, Values], **changed: Any) -> Decision:
    people = {f"{which} {face}": f"{which} {who}" for which in ("old", "new") for face, who in people_of().items()}
    settings = SETTINGS.model_copy(update={k: changed.pop(k) for k in ("max_loss_old",) if k in changed})
    champion = Opponent(3, on_sets({}, {}))
    licences = {"photos": "MIT"}, WEIGHTS
    return decide(on_sets(old, new), champion, people, settings.rule, settings.metrics, *licences, **changed)


def test_the_gain_is_asked_on_the_new_faces_and_that_nothing_is_lost_on_both():
    decision = sets_judged({}, {"hole_psnr": 0.3})
    assert decision.champion
    assert (decision.face_set, decision.face_sets) == ("gate_new", ("gate_new", "gate_old"))
    assert decision.reason.startswith("+0.300 dB of hole PSNR on gate_new (")
    names = [check.name for check in decision.checks][5:]
    assert names == [
        *("enough people", "gain", "gain beyond chance"),
        *("LPIPS no worse on gate_new", "identity no worse on gate_new", "every family and level on gate_new"),
        *("LPIPS no worse on gate_old", "identity no worse on gate_old", "every family and level on gate_old"),
        "hole PSNR on gate_old",
    ]
    assert failed(sets_judged({"hole_psnr": 0.3}, {})) == ["gain", "gain beyond chance"]
    assert (decision.gate_mean("hole_psnr"), decision.gate_mean("hole_psnr", face_set="gate_old")) == (18.3, 18.0)
    assert [(row.face_set, row.confidence) for row in decision.differences[:1]] == [("gate_new", 0.975)]
    assert {row.face_set for row in decision.differences if row.level is None} == {"gate_old", "gate_new"}
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    ("old", "new", "conditions"),
    [
        ({"hole_psnr": -0.11}, {}, ["hole PSNR on gate_old"]),
        ({"hole_psnr": -0.05 + NOISE * 0.2}, {}, ["hole PSNR on gate_old"]),
        ({"lpips": 0.02}, {}, ["LPIPS no worse on gate_old"]),
        ({"identity_dlib": -0.02}, {}, ["identity no worse on gate_old"]),
        ({"scatter_1": -0.3}, {}, ["every family and level on gate_old"]),
        ({}, {"lpips": 0.02}, ["LPIPS no worse on gate_new"]),
        ({}, {"scatter_1": -0.6}, ["every family and level on gate_new"]),
    ],
)
def test_each_loss_on_either_set_alone_keeps_the_champion(old, new, conditions):
    assert failed(sets_judged(old, {"hole_psnr": 0.3} | new)) == conditions
    assert sets_judged({"hole_psnr": -0.09}, {"hole_psnr": 0.3}).champion
    assert sets_judged({"hole_psnr": -0.15}, {"hole_psnr": 0.3}, max_loss_old=0.2).champion


def test_the_anchor_is_compared_with_on_the_old_faces_alone():
    def beside(**of: Values) -> list[str]:
        return failed(sets_judged({"hole_psnr": -0.08}, {"hole_psnr": 0.3}, anchor=Opponent(1, on_sets(of, of))))

    assert beside(hole_psnr=0.01) == []
    assert beside(hole_psnr=0.05) == ["hole PSNR on gate_old, beside the anchor"]
    assert beside(lpips=-0.02) == ["LPIPS no worse on gate_old, beside the anchor"]


def test_where_nobody_is_new_nobody_is_promoted():
    def old(scores: Scores) -> Scores:
        return scores.only({f"old face {index}" for index in range(24)})

    people = {f"old {face}": who for face, who in people_of().items()}
    ours, theirs = old(on_sets({"hole_psnr": 0.3}, {})), Opponent(3, old(on_sets({}, {})))
    decision = decide(ours, theirs, people, SETTINGS.rule, SETTINGS.metrics, {"photos": "MIT"}, {})
    assert failed(decision) == ["enough people"]
    assert decision.reason.startswith("0 people at the gate on gate_new are too few")


def test_the_gain_over_a_baseline_is_told_of_each_set():
    ours = on_sets({}, {"hole_psnr": 1.0})
    for face_set in ("gate_old", "gate_new"):
        for level in (1, 2, 3):
            key = MetricKey(face_set, "hole_psnr", "brush", level)
            ours.add(key, "telea", ours.faces(key, "model"), np.full(24, 17.5))
    decision = judge(ours, None)
    found = {(row.face_set, row.method): row.gain for row in decision.baseline_gains}
    assert found == pytest.approx({("gate_old", "telea"): 0.5, ("gate_new", "telea"): 1.5})
    assert {row.challenger for row in decision.means if row.metric == "hole_psnr"} >= {19.0, 20.0}


def test_a_decision_of_before_there_were_sets_is_read():
    stored = against(figures(hole_psnr=0.3)).model_dump(mode="json") | {"schema_version": 2}
    new = ("face_set", "proposed", "looks", "gain_confidence", "left_out", "gate_people", "people_key")
    for field in (*new, "anchor_version", "baseline_gains"):
        del stored[field]
    for row in (*stored["means"], *stored["differences"]):
        del row["face_set"]
    read = Decision.model_validate(stored)
    assert (read.face_set, read.face_sets, read.left_out, read.looks) == ("gate", ("gate",), None, None)
    assert read.gate_mean("hole_psnr") == pytest.approx(18.3)


# ------------------------------------------------------------------------------------------------------- other tasks

ERROR = Metric(name="nme", label="error", unit="%", higher_is_better=False)
OPEN = Metric(name="auc", label="AUC")


def other_rule(*guards: Guard, margin: float = 0.1) -> Rule:
    return Rule(metric=ERROR, case="plain", settings=PromotionSettings(margin=margin), guards=guards)


def errors(model: Values, baseline: Values | None = None, **added: Values) -> Scores:
    """Errors of a case without levels, of a turned head at two levels, and a figure of which higher is better."""
    found: dict[tuple[str, str, int, str], Values] = {("nme", "plain", -1, "model"): model}
    for level in (1, 2):
        found["nme", "turned", level, "model"] = 6.0 + added.get(f"turned_{level}", 0.0)
    found["auc", "plain", -1, "model"] = 0.5 + added.get("auc", 0.0)
    if baseline is not None:
        found["nme", "plain", -1, "mean_face"] = baseline
    return scores_of(found)


def decided(challenger: Scores, champion: Scores | None, *guards: Guard, **changed: float) -> Decision:
    opponent = None if champion is None else Opponent(7, champion)
    rule = other_rule(*guards, **changed)
    return decide(challenger, opponent, people_of(), rule, (ERROR, OPEN), {"photos": "MIT"}, {})


def test_a_lower_error_wins_where_lower_is_better():
    decision = decided(errors(4.5 + NOISE * 0.1), errors(5.0))
    assert decision.champion
    assert decision.reason == (
        f"-0.500 % of error ({decision.differences[0].low:+.3f} to {decision.differences[0].high:+.3f}) "
        "against version 7, 0.1 less needed, and nowhere worse than allowed"
    )
    assert [(row.metric, row.case, row.level) for row in decision.differences] == [
        ("nme", "plain", None),
        ("auc", "plain", -1),
        ("nme", "plain", -1),
        ("nme", "turned", 1),
        ("nme", "turned", 2),
    ]
    assert decision.gate_mean("nme") == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("error", "conditions"),
    [
        (4.95, ["gain"]),
        (5.5, ["gain", "gain beyond chance"]),
        (4.5 + NOISE * 6, ["gain beyond chance"]),
    ],
)
def test_a_higher_or_doubtful_error_does_not(error, conditions):
    decision = decided(errors(error), errors(5.0))
    assert failed(decision) == conditions
    assert "all of it must lie below 0" in next(c.said for c in decision.checks if c.name == "gain beyond chance")


def test_a_guard_of_every_case_finds_the_one_that_fares_worst_in_its_direction():
    guard = Guard("every case", ERROR, None, 0.2, interval=False)
    kept = decided(errors(4.0, turned_2=0.15), errors(5.0), guard)
    assert kept.champion
    lost = decided(errors(4.0, turned_1=-3.0, turned_2=0.25), errors(5.0), guard)
    assert failed(lost) == ["every case"]
    assert lost.reason == (
        "of 3 cases and levels turned level 2 fares worst with +0.250 %; no more than 0.2 % higher is allowed"
    )


def test_a_guard_of_one_case_is_asked_of_the_mean_over_its_levels():
    guard = Guard("turned", ERROR, "turned", 0.2)
    assert decided(errors(4.0, turned_1=0.5, turned_2=-0.5), errors(5.0), guard).champion
    lost = decided(errors(4.0, turned_1=0.5, turned_2=0.1), errors(5.0), guard)
    assert failed(lost) == ["turned"]
    assert lost.reason == "error +0.3000 (+0.3000 to +0.3000); no more than 0.2 % higher is allowed"
    doubtful = errors(4.0, turned_1=NOISE * 2, turned_2=NOISE * 2)
    assert failed(decided(doubtful, errors(5.0), guard)) == ["turned"]
    by_mean = Guard("turned", ERROR, "turned", 0.2, interval=False)
    assert decided(doubtful, errors(5.0), by_mean).champion


def test_a_guard_has_the_direction_of_its_own_metric():
    guard = Guard("AUC", OPEN, "plain", 0.01)
    assert decided(errors(4.0, auc=0.2), errors(5.0), guard).champion
    assert failed(decided(errors(4.0, auc=-0.02), errors(5.0), guard)) == ["AUC"]


def test_an_absolute_guard_is_asked_of_the_first_model_too():
    guard = Guard("better than a mean face", ERROR, "plain", -1.0, against="mean_face")
    for champion in (None, errors(9.0)):
        assert decided(errors(4.0, 5.5), champion, guard).champion
        lost = decided(errors(5.0, 5.5), champion, guard)
        assert failed(lost) == ["better than a mean face"]
        assert lost.reason == ("error -0.5000 (-0.5000 to -0.5000) beside mean_face; at least 1 % lower is asked for")
    assert decided(errors(4.0 + NOISE, 5.5), None, Guard("by mean", ERROR, "plain", -1.0, "mean_face", False)).champion


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (
            np.where(np.arange(24) == 3, np.nan, 9.0),
            "not all gate figures of mean_face are finite numbers: nme of plain",
        ),
        (None, "mean_face was not measured on the same faces: nme of plain"),
    ],
)
def test_an_absolute_guard_is_not_met_by_a_baseline_without_figures(baseline, said):
    decision = decided(errors(4.0, baseline), None, Guard("absolute", ERROR, "plain", 0.0, against="mean_face"))
    assert failed(decision) == ["absolute"]
    assert decision.reason == said


def test_an_absolute_guard_of_every_case_needs_the_baseline_in_every_case():
    guard = Guard("absolute", ERROR, None, 0.0, against="mean_face", interval=False)
    decision = decided(errors(4.0, 5.0), None, guard)
    assert decision.reason == "mean_face was not measured on the same faces: nme of turned level 1"


def test_figures_of_baselines_are_no_gate_means_and_compare_nothing():
    decision = decided(errors(4.0, 5.0), errors(5.0))
    assert decision.champion, "the champion need not be measured with the baseline"
    assert [(mean.case, mean.level, mean.challenger) for mean in decision.means] == [
        ("plain", -1, 4.0),
        ("turned", 1, 6.0),
        ("turned", 2, 6.0),
        ("plain", -1, 0.5),
    ]
    extra = errors(4.0)
    extra.add(MetricKey("gate", "nme", "only a baseline"), "mean_face", ["face 0"], [1.0])
    assert "only a baseline" not in {mean.case for mean in decided(extra, errors(5.0)).means}


def test_levels_of_different_faces_have_no_mean():
    uneven = Scores()
    uneven.add(MetricKey("gate", "nme", "plain", 1), "model", ["face 0", "face 1"], [1.0, 1.0])
    uneven.add(MetricKey("gate", "nme", "plain", 2), "model", ["face 0"], [1.0])
    for champion in (None, uneven):
        decision = decided(uneven, champion)
        assert not decision.champion
        assert "nme of plain, whose levels have different faces" in decision.reason


def test_a_guard_of_a_metric_that_was_not_measured_is_not_met():
    speed = Metric(name="speed", label="speed")
    decision = decided(errors(4.0), errors(5.0), Guard("speed", speed, None, 0.1, interval=False))
    assert failed(decision) == ["challenger's figures", "champion's figures"]
    assert "speed of any case" in decision.reason
