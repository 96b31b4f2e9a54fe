"""How inpainting's report tells of faces that were degraded before they were hidden."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import Story, render_report
from facerecon.tasks.inpainting.details import HoleRatio, InpaintingDetails
from facerecon.tasks.inpainting.report import REPORT
from facerecon.tasks.inpainting.report.degraded import LIMIT, degraded_lines

Make = Callable[..., Evaluation]
METRICS = ("whole_psnr", "hole_psnr", "ssim", "lpips_vgg", "identity_sface")


@pytest.fixture
def evaluation(make_evaluation: Make, spread: Callable[..., list[float]]) -> Evaluation:
    """The model is better than Telea over one kind of degraded faces, and worse over another."""
    means = {"mild": {"model": 21.3, "telea": 20.1}, "cctv": {"model": 23.0, "telea": 24.5}}
    changed = {
        (method, metric, f"degraded/{preset}", 2): spread(mean)
        for preset in ("cctv", "mild")
        for method, mean in means[preset].items()
        for metric in METRICS
    }
    made = make_evaluation(changed)
    ratios = tuple(HoleRatio(case=f"degraded/{preset}", level=2, ratio=0.4) for preset in means)
    assert isinstance(made.details, InpaintingDetails)
    return replace(made, details=made.details.model_copy(update={"hole_ratios": (*made.details.hole_ratios, *ratios)}))


def story_of(make_story: Callable[..., Story], evaluation: Evaluation, degradations: dict[str, Any] | None) -> Story:
    story = make_story(evaluation=evaluation)
    return replace(story, settings={**story.settings, "degradations": degradations})


def test_they_stand_between_families_and_parts_mildest_first() -> None:
    cases = ["degraded/cctv", "features/nose", "held_out", "degraded/mild", "brush"]
    assert REPORT.order(cases) == ["brush", "held_out", "degraded/mild", "degraded/cctv", "features/nose"]


def test_the_console_has_a_line_for_each(evaluation: Evaluation, make_evaluation: Make) -> None:
    lines = degraded_lines(evaluation)
    assert sorted(lines) == [
        "degraded by cctv, level 2 hidden: hole PSNR 23.0 dB, 1.5 dB worse than Telea",
        "degraded by mild, level 2 hidden: hole PSNR 21.3 dB, 1.2 dB better than Telea",
    ]
    assert REPORT.console(evaluation)[:2] == lines
    assert degraded_lines(make_evaluation()) == []


def test_the_report_has_a_table_for_each_and_says_what_it_does_not_say(
    evaluation: Evaluation, make_story: Callable[..., Story], make_evaluation: Make
) -> None:
    chosen = {"training": ["mild"], "clean_share": 0.1}
    story = story_of(make_story, evaluation, chosen)
    page = render_report(story)
    for preset in ("mild", "cctv"):
        assert f"brush masks over faces degraded by {preset}" in page.lower()
    assert (REPORT.case_tag(story, "degraded/mild"), REPORT.case_tag(story, "degraded/cctv")) == (
        "",
        "never trained on",
    )
    assert LIMIT in REPORT.limits(story)
    assert ("degradations", "mild; 10 % of the faces are left as they are") in REPORT.training_facts(story)
    plain = story_of(make_story, make_evaluation(), None)
    assert LIMIT not in REPORT.limits(plain)
    assert "degraded" not in render_report(plain)
