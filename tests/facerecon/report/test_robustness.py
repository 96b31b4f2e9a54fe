"""What the report says of a disturbed input: the sentence, a table for each family, and nothing where it is off."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.robustness import ATTACKS, FROZEN_STEPS, Disturbed, Robustness
from facerecon.report import Story
from facerecon.report.model_card import render_model_card
from facerecon.report.render import render_report
from facerecon.report.robustness import robustness_section, robustness_sentence
from facerecon.tasks.inpainting.report import REPORT

METRICS = {"hole_psnr": (18.62, -0.5), "lpips_vgg": (0.31, 0.02), "identity_sface": (0.8, -0.03)}
"""Undisturbed, and what each step adds to it."""


def robustness(sure: bool = True) -> Robustness:
    """Every step costs as much again as the one before; an attack three times as much; Telea notices nothing."""
    rows = []
    for step in (*FROZEN_STEPS, *ATTACKS):
        place = [each.level for each in (*FROZEN_STEPS, *ATTACKS) if each.family == step.family].index(step.level)
        times = 0 if step.family == "uniform" else (place + 1) * (3 if step.family == "pgd" else 1)
        for metric, (undisturbed, change) in METRICS.items():
            for method, moves in (("model", times), ("telea", 0)):
                difference = change * moves
                rows.append(
                    Disturbed(
                        family=step.family,
                        level=step.level,
                        method=method,
                        metric=metric,
                        faces=12,
                        identities=9,
                        undisturbed=undisturbed,
                        disturbed=undisturbed + difference,
                        difference=difference,
                        low=difference - 0.1 if sure else None,
                        high=difference + 0.1 if sure else None,
                    )
                )
    return Robustness(pixels="5d" * 32, rows=tuple(rows))


def with_it(evaluation: Evaluation, found: Robustness | None) -> Evaluation:
    return replace(evaluation, details=evaluation.details.model_copy(update={"robustness": found}))


def test_one_sentence_says_what_the_strongest_steps_and_the_attack_cost(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    same = "(Telea 18.62 dB, the same)"
    assert robustness_sentence(make_evaluation(), robustness()) == (
        f"At the strongest step the model’s hole PSNR is 16.12 dB, 2.50 worse {same} under JPEG of quality 10, 16.62 "
        f"dB, 2.00 worse {same} under H.264 of CRF 45 and 17.12 dB, 1.50 worse {same} under Gaussian noise of sigma "
        f"20; an attack that changes no value by more than 4 of 255 makes it 14.12 dB, 4.50 worse {same}, random noise "
        f"of the same size 18.62 dB, the same {same}."
    )
    lower_is_better = robustness_sentence(make_evaluation(headline=("lpips_vgg", "brush")), robustness())
    assert "LPIPS is 0.410, 0.100 worse (Telea 0.310, the same) under JPEG of quality 10" in lower_is_better


def test_a_table_for_each_family(make_evaluation: Callable[..., Evaluation]) -> None:
    section = robustness_section(make_evaluation(), robustness(), "What is given.")
    assert section is not None
    assert [len(table.groups[0].rows) for table in section.tables] == [5, 4, 3, 3, 3]
    jpeg, *_, attack, _ = section.tables
    assert (jpeg.title, jpeg.methods, jpeg.faces, jpeg.people) == ("JPEG", ("model", "Telea"), 12, 9)
    assert [group.metric.name for group in jpeg.groups] == list(METRICS)
    assert jpeg.groups[0].undisturbed == ("18.62", "18.62")
    mildest, *_, strongest = jpeg.groups[0].rows
    assert (mildest.step, strongest.step) == ("quality 90", "quality 10")
    ours, theirs = strongest.cells
    assert (ours.disturbed, ours.difference, ours.interval) == ("16.12", "−2.50", "−2.60 to −2.40")
    assert (theirs.disturbed, theirs.difference) == ("18.62", "0.00")
    assert [row.step for row in attack.groups[0].rows] == ["±1 of 255", "±2 of 255", "±4 of 255"]


def test_too_few_people_have_no_interval(make_evaluation: Callable[..., Evaluation]) -> None:
    section = robustness_section(make_evaluation(), robustness(sure=False), "")
    assert section is not None
    assert section.tables[0].groups[0].rows[0].cells[0].interval == "–"


@pytest.mark.parametrize("asked", [True, False], ids=["on", "off"])
def test_the_report_has_the_section_only_where_it_was_asked_for(make_story: Callable[..., Story], asked: bool) -> None:
    plain = make_story()
    story = make_story(evaluation=with_it(plain.evaluation, robustness() if asked else None))
    page = render_report(story)
    assert ('<h3 id="robustness">Robustness</h3>' in page) is asked
    assert ("<td>16.12</td><td>−2.50</td>" in page) is asked
    assert (robustness_sentence(plain.evaluation, robustness()) in page) is asked
    assert render_model_card(story) == render_model_card(plain)
    assert REPORT.console(story.evaluation) == REPORT.console(plain.evaluation)
    if not asked:
        assert page == render_report(plain)


def test_it_survives_the_way_through_json(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = with_it(make_evaluation(), robustness())
    stored = evaluation.as_dict()
    again = Evaluation.from_dict(stored, evaluation.scores, evaluation.samples, type(evaluation.details))
    assert again.details == evaluation.details
    assert "robustness" not in make_evaluation().as_dict()["details"]
