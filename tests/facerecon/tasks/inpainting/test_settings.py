"""The settings of inpainting: which networks teach, which judge, and that these are not the same."""

from typing import Any

import pytest

from facerecon.errors import FaceReconError
from facerecon.run import parse_settings


@pytest.mark.parametrize(
    ("losses", "network"),
    [({"perceptual_backbone": "vgg"}, "lpips_vgg"), ({"identity_network": "facenet"}, "facenet")],
)
def test_the_gate_is_not_judged_by_what_the_loss_was_taught_by(losses: dict[str, Any], network: str) -> None:
    chosen = {"lpips_backbone": "vgg", "identity_network": "facenet"}
    with pytest.raises(FaceReconError) as caught:
        parse_settings({"training": {"losses": losses}, "promotion": chosen}, "configs/mine.yaml")
    message = caught.value.message
    assert f"promotion: {network} teaches in training.losses and must not judge" in message
    off = {"perceptual": 0, "identity": 0}
    parse_settings({"training": {"losses": losses | off}, "promotion": chosen}, "configs/mine.yaml")


def test_faces_are_not_degraded_unless_that_is_asked_for() -> None:
    plain = parse_settings({}, "here")
    assert plain.degradations is None
    assert plain.digest == parse_settings({"degradations": None}, "here").digest
    assert plain.training.augmentation.blur > 0
    assert plain.digest != parse_settings({"degradations": {}}, "here").digest


def test_degraded_faces_are_not_blurred_besides_unless_that_is_asked_for() -> None:
    chosen = parse_settings({"degradations": {}, "training": {"augmentation": {"flip": 0.25}}}, "here")
    assert (chosen.training.augmentation.blur, chosen.training.augmentation.flip) == (0, 0.25)
    assert parse_settings(chosen.model_dump(mode="json"), "here") == chosen
    asked = {"degradations": {}, "training": {"augmentation": {"blur": 0.3}}}
    assert parse_settings(asked, "here").training.augmentation.blur == 0.3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"degradations": {"training": ["fog"]}}, "training: fog not among clean, mild, motion, gfpgan, cctv_train"),
        ({"degradations": {"training": ["cctv"]}}, "training: cctv is for evaluation only"),
        ({"degradations": {"evaluation": ["fog"]}}, "evaluation: fog not among"),
        ({"degradations": {"faces": 50}}, "evaluation.max_faces = 200 goes beyond degradations.faces = 50: raise that"),
        ({"degradations": {}, "training": {"augmentation": 3}}, "training.augmentation"),
        ({"degradations": {}, "training": 3}, "parameters.training"),
        ({"degradations": ["mild"]}, "degradations"),
    ],
    ids=["unknown", "never_trained", "unknown_evaluation", "too_few", "no_augmentation", "no_training", "no_group"],
)
def test_wrong_degradations_are_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FaceReconError) as caught:
        parse_settings(given, "configs/mine.yaml")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_pretrained_weights_are_listed_with_what_they_are_used_for() -> None:
    assert parse_settings({}, "here").pretrained == {
        "lpips_alex": ["perceptual loss"],
        "sface": ["identity loss"],
        "lpips_vgg": ["judge of LPIPS", "judge of LPIPS at the gate"],
        "dlib": ["judge of identity", "judge of identity at the gate"],
    }
    off = {"training": {"losses": {"perceptual": 0, "identity": 0}}}
    assert sorted(parse_settings(off, "here").pretrained) == ["dlib", "lpips_vgg"]
