"""The settings of degradations: presets by name, and how severity rises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.settings import first_problem


def problem(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        DegradationSettings(**values)  # type: ignore[arg-type]
    return first_problem(caught.value, "degradations", DegradationSettings)


def test_an_unknown_preset_is_told_with_what_is_allowed() -> None:
    said = problem(training=["mild", "fog"])
    assert "fog not among clean, mild, motion, gfpgan, cctv_train" in said
    assert "cctv," not in said
    assert "fog not among clean, mild, motion, gfpgan, cctv_train, cctv" in problem(evaluation=["fog"])


def test_what_is_for_evaluation_only_is_not_trained_on() -> None:
    said = problem(training=["mild", "cctv"])
    assert "cctv is for evaluation only" in said
    assert "H.264 is never trained on" in said
    assert "\n" not in said
    assert "jpeg_10 is for evaluation only" in problem(training=["jpeg_10"])
    assert DegradationSettings(evaluation=("cctv", "jpeg_10")).evaluation == ("cctv", "jpeg_10")


@pytest.mark.parametrize("key", ["training", "evaluation"])
def test_presets_are_named_once_and_at_least_one(key: str) -> None:
    assert "more than once" in problem(**{key: ["mild", "mild"]})
    assert "at least 1" in problem(**{key: []})


@pytest.mark.parametrize("wrong", [{"curriculum": 1.5}, {"clean_share": -0.1}, {"seed": -1}, {"count": 3}], ids=str)
def test_numbers_out_of_range_and_unknown_keys_are_refused(wrong: dict[str, float]) -> None:
    assert next(iter(wrong)) in problem(**wrong)


def test_severity_rises_over_the_curriculum() -> None:
    settings = DegradationSettings(curriculum=0.5)
    assert [settings.severity_at(progress) for progress in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]
    assert DegradationSettings(curriculum=0).severity_at(0) == 1
    assert DegradationSettings(curriculum=1).severity_at(0.9) == 0.9
    with pytest.raises(ValueError, match="progress"):
        settings.severity_at(1.1)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_severity_never_falls(curriculum: float, one: float, other: float) -> None:
    settings = DegradationSettings(curriculum=curriculum)
    before, after = (settings.severity_at(progress) for progress in sorted((one, other)))
    assert 0 <= before <= after <= 1
