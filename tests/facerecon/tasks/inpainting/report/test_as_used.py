"""What the report says of use: the same faces before hiding and as used, and who was not found."""

from collections.abc import Callable
from dataclasses import replace

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import Story
from facerecon.report.model_card import render_model_card
from facerecon.report.render import render_report
from facerecon.tasks.inpainting.details import AsUsed
from facerecon.tasks.inpainting.report import REPORT, details_of
from facerecon.tasks.inpainting.report.as_used import used_groups, used_sentence

ROWS = (
    AsUsed(
        case="brush",
        level=1,
        method="model",
        faces=12,
        found=11,
        identities=9,
        before=19.26,
        used=18.0,
        difference=-1.26,
        low=-1.5,
        high=-1.0,
    ),
    AsUsed(
        case="brush",
        level=1,
        method="telea",
        faces=12,
        found=11,
        identities=3,
        before=17.0,
        used=17.1,
        difference=0.1,
    ),
    AsUsed(case="brush", level=2, method="model", faces=12, found=0),
    AsUsed(case="features/mouth", level=-1, method="model", faces=10, found=0),
)
BEFORE = "the evaluation is of before there was this figure"


def with_use(evaluation: Evaluation, rows: tuple[AsUsed, ...] = ROWS, note: str = "") -> Evaluation:
    details = evaluation.details.model_copy(update={"as_used": rows, "as_used_note": note})
    return replace(evaluation, details=details)


def test_a_group_for_each_case_and_level(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = with_use(make_evaluation())
    one, two, mouth = used_groups(evaluation, details_of(evaluation), REPORT)
    assert one.label == "brush masks, level 1 (10-30 % hidden)"
    assert (two.label, mouth.label) == ("brush masks, level 2 (30-50 % hidden)", "mouth")
    model, telea = one.rows
    assert (model.label, model.before, model.used, model.difference) == ("model", "19.26", "18.00", "−1.26")
    assert (model.interval, model.not_found) == ("−1.50 to −1.00", "1 of 12")
    assert (telea.label, telea.difference, telea.interval) == ("Telea", "+0.10", "–")
    (nobody,) = two.rows
    assert (nobody.before, nobody.used, nobody.difference, nobody.not_found) == ("–", "–", "–", "12 of 12")


def test_the_sentence_beside_the_headline(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = with_use(make_evaluation(), note="1 of 13 faces: the photograph is gone")
    assert used_sentence(evaluation, details_of(evaluation)) == (
        "As used, each face found and aligned with the hole in it, the model's hole PSNR is at level 1 18.0 dB where "
        "it is 19.3 (−1.3); at level 2 not known, no face was found; 13 of 24 times the face was not found. "
        "Not measured: 1 of 13 faces: the photograph is gone."
    )


def test_what_was_not_measured_is_said(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation()
    assert used_sentence(evaluation, details_of(evaluation)) == f"As used: not measured ({BEFORE})."


def test_it_stands_beside_the_headline_of_report_and_card(make_story: Callable[..., Story]) -> None:
    plain = make_story()
    story = make_story(evaluation=with_use(plain.evaluation))
    sentence = used_sentence(story.evaluation, details_of(story.evaluation))
    report, card = render_report(story), render_model_card(story)
    head, rest = report.split("</header>")
    assert sentence.replace("'", "&#39;") in head
    assert "<td>19.26</td><td>18.00</td><td>−1.26</td><td>−1.50 to −1.00</td>" in rest
    assert sentence in card.split("## Intended use")[0]
    assert (
        "| brush masks, level 1 (10-30 % hidden) | model | 19.26 | 18.00 | −1.26 | −1.50 to −1.00 | 1 of 12 |" in card
    )
    assert f"not measured ({BEFORE})" in render_report(plain)
    assert f"not measured ({BEFORE})" in render_model_card(plain)
