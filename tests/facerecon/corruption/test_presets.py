"""The presets by name, and what tells one from another."""

from dataclasses import replace

import pytest

from facerecon.corruption.presets import PRESETS, TRAINING_PRESETS, NoiseRanges, Preset, find_preset, robustness_cases
from facerecon.errors import FaceReconError


def test_presets_are_known_by_their_names() -> None:
    assert all(preset.name == name and preset.source for name, preset in PRESETS.items())
    assert {"clean", "mild", "motion", "gfpgan", "cctv_train", "cctv"} <= set(PRESETS)


def test_h264_is_never_trained_on() -> None:
    assert "cctv" not in TRAINING_PRESETS
    assert all(PRESETS[name].h264 is None for name in TRAINING_PRESETS)


def test_cctv_is_what_is_trained_on_but_for_its_last_codec() -> None:
    trained, measured = PRESETS["cctv_train"], PRESETS["cctv"]
    assert trained.second is not None
    assert measured.h264 is not None
    same = replace(measured, name=trained.name, source=trained.source, evaluation_only=False, h264=None)
    assert replace(same, second=trained.second) == trained


def test_robustness_goes_from_mild_to_strong_one_damage_at_a_time() -> None:
    cases = robustness_cases()
    levels = {family: [case.level for case in cases if case.family == family] for family in ("jpeg", "h264", "noise")}
    assert levels == {"jpeg": [90, 70, 50, 30, 10], "h264": [23, 30, 37, 45], "noise": [5, 10, 20]}
    for case in cases:
        made, level = case.preset, (float(case.level), float(case.level))
        assert made.evaluation_only
        assert (
            made
            == {
                "jpeg": Preset(made.name, made.source, True, jpeg=level),
                "h264": Preset(made.name, made.source, True, h264=level),
                "noise": Preset(made.name, made.source, True, noise=NoiseRanges(level)),
            }[case.family]
        )
        assert find_preset(made.name) == made


def test_the_digest_is_of_what_is_drawn() -> None:
    digests = [preset.digest for preset in (*PRESETS.values(), *(case.preset for case in robustness_cases()))]
    assert len(set(digests)) == len(digests)
    mild = PRESETS["mild"]
    assert replace(mild, source="elsewhere").digest == mild.digest
    assert replace(mild, moving=0.1).digest != mild.digest
    assert replace(mild, noise=NoiseRanges((0.0, 15.1))).digest != mild.digest


def test_an_unknown_preset_is_told_with_what_there_is() -> None:
    with pytest.raises(FaceReconError, match=r"'fog': choose from clean, mild.*jpeg_90"):
        find_preset("fog")
