"""The rule of promotion: each condition alone can keep a challenger from becoming champion."""

import numpy as np
import pytest

from facerecon.evaluation.promotion import GateFigures, Measure, Opponent, PromotionSettings, Ruling, rule

RULE = PromotionSettings()
WEIGHTS = {"sface": "Apache-2.0", "lpips_vgg": "BSD-2-Clause"}
PEOPLE = tuple(f"person {index // 2}" for index in range(24))
NOISE = np.random.default_rng(0).normal(0, 1, 24)
NOISE -= NOISE.mean()


def figures(
    people: tuple[str, ...] = PEOPLE, families: tuple[str, ...] = ("brush", "scatter"), **added: float | np.ndarray
) -> GateFigures:
    """The same figures for every face, but for what is ``added``: to all of a metric, or to ``scatter_2`` alone."""
    values = {}
    for family in families:
        for level in (1, 2, 3):
            metrics = {"hole_psnr": 20.0 - level, "lpips": 0.2, "identity": 0.6}
            for metric, value in metrics.items() if family == "brush" else [("hole_psnr", 18.0)]:
                more = added.get(f"{family}_{level}", 0.0) if metric == "hole_psnr" else 0.0
                values[Measure(family, level, metric)] = np.zeros(len(people)) + value + added.get(metric, 0.0) + more
    return GateFigures(people, values)


def decide(challenger: GateFigures, champion: GateFigures | None = None, **changed: object) -> Ruling:
    settings = RULE.model_copy(update={key: value for key, value in changed.items() if key in type(RULE).model_fields})
    opponent = Opponent(3, champion or figures())
    return rule(challenger, opponent, str(changed.get("licence", "MIT")), changed.get("weights", WEIGHTS), settings)


def failed(ruling: Ruling) -> list[str]:
    return [check.name for check in ruling.checks if not check.passed]


def test_a_clear_gain_wins_and_says_by_how_much():
    ruling = decide(figures(hole_psnr=0.3 + NOISE * 0.05))
    assert ruling.wins
    assert failed(ruling) == []
    assert ruling.reason.startswith("+0.300 dB of hole PSNR (+0.")
    assert "against version 3" in ruling.reason


def test_every_condition_is_listed_with_what_was_found():
    names = [check.name for check in decide(figures()).checks]
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
        ({"hole_psnr": 0.3, "identity": -0.0051}, "identity no worse"),
        ({"hole_psnr": 0.3, "identity": -0.0033 + NOISE * 0.0167}, "identity no worse"),
        ({"hole_psnr": 0.3, "scatter_2": -0.51}, "every family and level"),
        ({"hole_psnr": 0.9, "brush_1": -1.11}, "every family and level"),
    ],
)
def test_each_condition_alone_keeps_the_champion(added, condition):
    ruling = decide(figures(**added))
    assert not ruling.wins
    assert failed(ruling) == [condition]
    assert ruling.reason == next(check.said for check in ruling.checks if not check.passed)


@pytest.mark.parametrize(
    "added",
    [
        {"hole_psnr": 0.0501},
        {"hole_psnr": 0.3, "lpips": 0.0099},
        {"hole_psnr": 0.3, "identity": -0.0049},
        {"hole_psnr": 0.3, "scatter_2": -0.49},
        {"hole_psnr": 0.3, "lpips": -0.1, "identity": 0.3},
    ],
)
def test_within_what_is_allowed_it_wins(added):
    assert decide(figures(**added)).wins


def test_the_rule_is_what_the_settings_say():
    assert not decide(figures(hole_psnr=0.3), margin=0.4).wins
    assert decide(figures(hole_psnr=0.3, lpips=0.05), max_lpips_loss=0.06).wins
    assert decide(figures(hole_psnr=0.3, identity=-0.2), max_identity_loss=0.25).wins
    assert decide(figures(hole_psnr=0.3, scatter_1=-1), max_hole_psnr_loss=1.0).wins
    noisy = figures(hole_psnr=0.3 + NOISE * 0.6)
    assert decide(noisy, confidence=0.8).wins
    assert not decide(noisy, confidence=0.99).wins


def test_differences_have_a_row_for_each_measure():
    rows = decide(figures(hole_psnr=0.3 + NOISE * 0.1, lpips=-0.01)).differences
    assert [(row["family"], row["level"], row["metric"]) for row in rows] == [
        *(("brush", None, metric) for metric in ("hole_psnr", "lpips", "identity")),
        *(("brush", level, metric) for level in (1, 2, 3) for metric in ("hole_psnr", "identity", "lpips")),
        *(("scatter", level, "hole_psnr") for level in (1, 2, 3)),
    ]
    assert rows[0]["difference"] == pytest.approx(0.3)
    assert rows[0]["low"] < 0.3 < rows[0]["high"]
    assert rows[1]["difference"] == pytest.approx(-0.01)
    assert {row["identities"] for row in rows} == {12}


@pytest.mark.parametrize("people", [1, 2, 5])
def test_too_few_people_cannot_make_a_champion(people):
    few = tuple(f"person {number}" for number in range(people))
    ruling = decide(figures(few, hole_psnr=5.0), figures(few))
    assert not ruling.wins
    assert ruling.reason.startswith(
        f"{people} people at the gate are too few to tell a gain from chance at 0.95: 6 are"
    )
    assert failed(ruling) == ["enough people", "gain beyond chance", "LPIPS no worse", "identity no worse"]
    assert ruling.differences[0]["low"] is None
    assert "(nor is met: gain beyond chance, LPIPS no worse, identity no worse)" in ruling.reason


@pytest.mark.parametrize("licence", ["", "  ", "unknown", "Unknown ", "N/A"])
def test_an_unnamed_licence_keeps_even_the_first_model_back(licence):
    for data, weights in ((licence, WEIGHTS), ("MIT", WEIGHTS | {"found": licence})):
        ruling = rule(figures(), None, data, weights, RULE)
        assert not ruling.wins
        assert "no licence is named" in ruling.reason
    assert failed(decide(figures(hole_psnr=1.0), licence=licence)) == ["data licence"]
    assert failed(decide(figures(hole_psnr=1.0), weights={"found": licence})) == ["weights licences"]


def test_the_first_model_wins_with_finite_figures_and_named_licences():
    ruling = rule(figures(PEOPLE[:1]), None, "MIT", {}, RULE)
    assert ruling.wins
    assert ruling.differences == []
    assert len(ruling.checks) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_figure_that_is_no_finite_number_on_one_face_is_enough(bad):
    broken = figures(hole_psnr=9.0)
    broken.values[Measure("scatter", 3, "hole_psnr")][5] = bad
    for ruling in (rule(broken, None, "MIT", WEIGHTS, RULE), decide(broken)):
        assert not ruling.wins
        assert failed(ruling) == ["challenger's figures"]
        assert "hole_psnr of scatter level 3" in ruling.reason
    ruling = decide(figures(hole_psnr=9.0), broken)
    assert failed(ruling) == ["champion's figures"]
    assert ruling.differences == []


@pytest.mark.parametrize("metric", ["hole_psnr", "lpips", "identity"])
def test_a_missing_figure_keeps_the_champion(metric):
    lacking = figures(hole_psnr=9.0)
    del lacking.values[Measure("brush", 2, metric)]
    ruling = decide(lacking)
    assert not ruling.wins
    assert f"{metric} of brush level 2" in ruling.reason
    assert "challenger's figures" in failed(ruling)
    assert not rule(lacking, None, "MIT", WEIGHTS, RULE).wins
    assert not rule(GateFigures(PEOPLE, {}), None, "MIT", WEIGHTS, RULE).wins


def test_two_models_measured_differently_are_not_compared():
    for other in (figures(PEOPLE[::-1]), figures(families=("brush",)), figures(PEOPLE[:20])):
        assert failed(decide(figures(hole_psnr=9.0), other)) == ["same faces"]


def test_a_champion_that_cannot_be_measured_stays():
    ruling = rule(figures(hole_psnr=9.0), Opponent(3, None, "its weights are gone"), "MIT", WEIGHTS, RULE)
    assert not ruling.wins
    assert ruling.reason == "the champion, version 3, cannot be measured: its weights are gone"
