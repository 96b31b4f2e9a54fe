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


def test_pretrained_weights_are_listed_with_what_they_are_used_for() -> None:
    assert parse_settings({}, "here").pretrained == {
        "lpips_alex": ["perceptual loss"],
        "sface": ["identity loss"],
        "lpips_vgg": ["judge of LPIPS", "judge of LPIPS at the gate"],
        "dlib": ["judge of identity", "judge of identity at the gate"],
    }
    off = {"training": {"losses": {"perceptual": 0, "identity": 0}}}
    assert sorted(parse_settings(off, "here").pretrained) == ["dlib", "lpips_vgg"]
