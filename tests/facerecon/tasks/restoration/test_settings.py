"""What a config of restoration may say."""

from typing import Any

import pytest

from facerecon.errors import FaceReconError
from facerecon.run import parse_settings


def parsed(**given: Any) -> Any:
    return parse_settings({"task": "restoration", **given}, "configs/r.yaml")


def test_the_default_is_a_unet_of_the_task() -> None:
    settings = parsed()
    assert settings.model.family == "unet"
    assert settings.pretrained["lpips_alex"] == ["perceptual loss"]
    assert settings.pretrained["lpips_vgg"] == ["judge of LPIPS", "judge of LPIPS at the gate"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"masks": {}}, "a restoration model takes no mask: leave it out, or say `task: inpainting`"),
        ({"model": {"family": "unet_fill"}}, "'unet_fill' is for the task inpainting, and this is restoration: choose"),
        ({"degradations": {"training": ["cctv"]}}, "cctv is for evaluation only"),
        ({"degradations": {"evaluation": ["fog"]}}, "fog not among"),
        ({"degradations": {"faces": 10}}, "evaluation.max_faces = 200 goes beyond degradations.faces = 10"),
        ({"promotion": {"lpips_backbone": "alex"}}, "lpips_alex teaches in training.losses and must not judge"),
        (
            {"training": {"adversarial": {"penalty_on": "whole"}}},
            "whole_norm is batch: a penalty on single images is not defined under batch normalisation",
        ),
        (
            {"model": {"family": "unet", "options": {"norm": "instance", "fold": 8}}, "alignment": {"size": 64}},
            "model.options.norm: instance, and of 64 px one pixel is left at the bottleneck, which has no variance: "
            "expected more than 64 px; take fewer features, a smaller fold, or norm: batch",
        ),
        ({"training": {"adversarial": {}, "precision": "16-mixed"}}, "one scaler cannot serve two losses"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_meant_is_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FaceReconError) as error:
        parsed(**given)
    assert said in error.value.message
    assert "\n" not in error.value.message


def test_a_restoration_family_is_refused_for_inpainting() -> None:
    with pytest.raises(FaceReconError, match="'unet' is for the task restoration, and this is inpainting"):
        parse_settings({"model": {"family": "unet"}}, "configs/r.yaml")


@pytest.mark.parametrize("options", [{"norm": "instance", "fold": 4}, {"fold": 8}], ids=["smaller", "batch"])
def test_a_bottleneck_of_several_pixels_or_under_batch_normalisation_is_taken(options: dict[str, Any]) -> None:
    assert parsed(model={"family": "unet", "options": options}, alignment={"size": 64}).model.options.fold


def test_as_published_allows_the_undefined_penalty() -> None:
    adversarial = {"penalty": "wgan_gp", "penalty_on": "both", "as_published": True}
    assert parsed(training={"adversarial": adversarial}).training.validates_start
