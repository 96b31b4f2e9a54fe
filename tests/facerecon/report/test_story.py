"""A story: what it says of weights, masks, limits and origins follows from the run."""

from collections.abc import Callable

from facerecon.models import build_model
from facerecon.report import Story
from facerecon.report.story import ATTENTION_LIMIT, CONFIDENCE_LIMIT, LIMITS, PRIOR_LIMIT

MakeStory = Callable[..., Story]


def test_never_trained_on_follows_the_settings(make_story: MakeStory) -> None:
    story = make_story()
    assert [family for family in ("brush", "noise", "boxes", "held_out") if story.never_trained(family)] == [
        "boxes",
        "held_out",
    ]
    assert not story.never_trained("features/nose")
    assert not story.never_trained("parts/nose")
    story.settings["masks"]["feature_share"] = 0.0
    assert story.never_trained("features/nose")
    assert story.never_trained("parts/nose")


def test_weights_that_were_not_used_are_not_listed(make_story: MakeStory) -> None:
    story = make_story()
    story.settings["training"]["losses"] |= {"perceptual": 0.0, "identity": 0.0}
    story.settings["promotion"] |= {"lpips_backbone": "alex", "identity_network": "sface"}
    story.figures["judges"]["identity"] = {"network": "facenet", "in_loss": False}
    used = {row["name"]: row for row in story.used_weights}
    assert list(used) == ["face_landmarker", "facenet", "lpips_alex", "lpips_vgg", "sface"]
    assert used["facenet"]["licence"] == "not recorded: supplied by the user"
    assert used["lpips_vgg"]["use"] == "judge of LPIPS"
    assert used["sface"]["use"] == "judge of identity at the gate"


def test_parameters_are_those_of_the_network(make_story: MakeStory) -> None:
    model = build_model("unet_fill", {"features": [8, 16]})
    assert make_story().parameters == sum(parameter.numel() for parameter in model.parameters())


def test_what_the_prior_took_from_faces_is_counted_apart(make_story: MakeStory, bare_story: Story) -> None:
    story = make_story()
    story.settings["model"]["options"] |= {"prior_grid": 8, "prior_components": 6}
    brightness, colour = 8 * 8 * (1 + 6 / 2), 2 * 4 * 4 * (1 + 2 / 2)
    assert story.prior_values == brightness + colour + 2, "a mean and, on half a face, ways to differ; the noise"
    assert bare_story.prior_values == 0


def test_a_loss_that_weighs_nothing_is_not_named(make_story: MakeStory) -> None:
    story = make_story()
    story.settings["training"]["losses"] |= {"perceptual": 0.0, "perceptual_interval": 4}
    assert story.losses == ["l1 × 1", "hole × 6", "identity × 0.1", "confidence × 0.1"]


def test_limits_of_what_the_model_has(make_story: MakeStory, bare_story: Story) -> None:
    assert make_story().limits == (*LIMITS, CONFIDENCE_LIMIT, PRIOR_LIMIT, ATTENTION_LIMIT)
    assert bare_story.limits == LIMITS


def test_a_digest_is_told_once(make_story: MakeStory) -> None:
    assert list(make_story().origins) == ["weights", "manifest", "evaluation masks", "git commit", "seed"]
    known = make_story(provenance={"weights_digest": "8f" * 32, "seed": "0"})
    assert known.origins == {
        "manifest": "3a" * 32,
        "evaluation masks": "c4" * 32,
        "weights_digest": "8f" * 32,
        "seed": "0",
    }
