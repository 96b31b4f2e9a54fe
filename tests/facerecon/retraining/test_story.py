"""A retraining as the report tells it: clips by name, people by number, the command that follows."""

from facerecon.data.collected.collection import Collection, TakenIn
from facerecon.evaluation.probe import Probe
from facerecon.evaluation.promotion import Decision
from facerecon.retraining.drift import Drift
from facerecon.retraining.plan import Plan
from facerecon.retraining.story import retraining_story

PLAN = Plan(
    kind="retraining",
    reason="25 new people in train (20 needed)",
    parent="demo/3",
    new_people={"train": 25, "test": 4},
    probe=Probe(metric="hole PSNR", unit="dB", mean=0.4, low=0.3, high=0.5, people=7, faces=9, confidence=0.95),
    drift=(Drift(measure="brightness", old=120.0, new=60.5, effect=-0.9),),
)
COLLECTION = Collection(
    taken_in=(TakenIn(name="night/a.mp4", tracks=2, faces=9, poor=3),),
    refused=(("b.mp4", "no face found"),),
    again=(("c.mp4", "night/a.mp4"),),
    young=("d.mp4",),
    joined=1,
    left_out=2,
    threshold={"train": 0.4321},
    digests={"night/a.mp4": "ab" * 32},
)


def test_every_clip_says_what_came_of_it() -> None:
    told = retraining_story(PLAN, COLLECTION, decided(), "demo", "demo/1")
    assert told.clips == [
        ("night/a.mp4", "taken in: 9 faces of 2 tracks kept, 3 too poor"),
        ("b.mp4", "refused: no face found"),
        ("c.mp4", "skipped: the same bytes as night/a.mp4"),
        ("d.mp4", "left to the next run: it may still grow"),
    ]


def test_the_decision_has_its_figures_parent_and_anchor() -> None:
    told = retraining_story(PLAN, COLLECTION, decided(), "demo", "demo/1")
    facts = dict(told.facts)
    assert told.decision == "retrain: 25 new people in train (20 needed)"
    assert (facts["parent"], facts["anchor"]) == ("demo/3", "demo/1")
    assert facts["probe"] == "+0.40 dB of hole PSNR (+0.30 to +0.50) on 7 new people, interval at 95 %"
    assert facts["tracks left out"].startswith("2; ")
    assert "0.432 in train" in facts["tracks left out"]
    assert told.drift == [("brightness", "120", "60.5", "−0.90")]
    assert told.people == {"train": 25, "test": 4}


def test_the_first_model_has_no_parent_and_an_anchor_that_is_the_parent_is_said_to_be() -> None:
    first = Plan(kind="first", reason="there is no champion yet")
    assert dict(retraining_story(first, COLLECTION, decided(), "demo", "").facts)["parent"].startswith("none")
    assert dict(retraining_story(PLAN, COLLECTION, decided(), "demo", "demo/3").facts)["anchor"].endswith("itself")


def test_the_command_is_the_one_that_follows() -> None:
    def commands(**changes: bool) -> list[str]:
        return [each for _, each in retraining_story(PLAN, COLLECTION, decided(**changes), "demo", "").commands]

    assert commands(champion=True) == ["facerecon rollback demo --reason ..."]
    assert commands(proposed=True) == ["facerecon promote demo/4 --reason ..."]
    assert commands() == []


def decided(champion: bool = False, proposed: bool = False) -> Decision:
    return Decision(
        **{"registered_model": "facerecon-demo", "version": 4, "champion": champion, "proposed": proposed},
        **{"reason": "", "gate_metric": "hole_psnr", "gate_case": "brush", "metrics": (), "checks": (), "means": ()},
    )
