"""A story: what it says of weights, cases, limits and provenance follows from the run."""

from collections.abc import Callable

from facerecon.report import Story
from facerecon.report.story import LIMITS
from facerecon.tasks.inpainting.report import ATTENTION_LIMIT, CONFIDENCE_LIMIT, PRIOR_LIMIT
from facerecon.tasks.inpainting.report import LIMITS as INPAINTING_LIMITS

MakeStory = Callable[..., Story]


def test_never_trained_on_follows_the_settings(make_story: MakeStory) -> None:
    story = make_story()

    def untrained(case: str) -> bool:
        return story.report.case_tag(story, case) == "never trained on"

    assert [case for case in ("brush", "noise", "boxes", "held_out") if untrained(case)] == ["boxes", "held_out"]
    assert not untrained("features/nose")
    assert not untrained("parts/nose")
    story.settings["masks"]["feature_share"] = 0.0
    assert untrained("features/nose")
    assert untrained("parts/nose")


def test_weights_that_were_used_are_listed_with_their_licence(make_story: MakeStory) -> None:
    uses = {"sface": ["judge of identity at the gate"], "lpips_vgg": ["judge of LPIPS", "judge of LPIPS at the gate"]}
    used = {row["name"]: row for row in make_story(uses=uses | {"facenet": ["identity loss"]}).used_weights}
    assert list(used) == ["facenet", "lpips_vgg", "sface"]
    assert used["facenet"]["licence"] == "not recorded: supplied by the user"
    assert used["lpips_vgg"]["use"] == "judge of LPIPS, judge of LPIPS at the gate"
    assert used["sface"]["use"] == "judge of identity at the gate"
    assert used["sface"]["licence"] == "licence of sface"


def test_a_loss_that_weighs_nothing_is_not_named(make_story: MakeStory) -> None:
    story = make_story()
    story.settings["training"]["losses"] |= {"perceptual": 0.0, "perceptual_interval": 4}
    facts = dict(story.report.training_facts(story))
    assert facts["loss"] == "l1 × 1, identity × 0.1, confidence × 0.1, hole × 6"


def test_limits_of_what_the_model_has(make_story: MakeStory, bare_story: Story) -> None:
    assert make_story().limits == [*INPAINTING_LIMITS, CONFIDENCE_LIMIT, PRIOR_LIMIT, ATTENTION_LIMIT, *LIMITS]
    assert bare_story.limits == [*INPAINTING_LIMITS, *LIMITS]


def test_a_digest_is_told_once(make_story: MakeStory) -> None:
    assert list(make_story().provenances) == ["weights", "manifest", "evaluation cases", "git commit", "seed"]
    known = make_story(provenance={"weights_digest": "8f" * 32, "seed": "0"})
    assert known.provenances == {
        "manifest": "3a" * 32,
        "evaluation cases": "c4" * 32,
        "weights_digest": "8f" * 32,
        "seed": "0",
    }
