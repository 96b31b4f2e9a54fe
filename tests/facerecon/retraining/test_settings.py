"""A retraining's settings: those of a training, and what follows from them for a training from the champion."""

import pytest

from facerecon.errors import FaceReconError
from facerecon.retraining.settings import RetrainingRun, retraining_run
from facerecon.run import parse_as, parse_settings


def run(**changed: object) -> RetrainingRun:
    training = {"steps": 1000, "coarse_share": 0.75, "learning_rate": 2e-3, "validate_every": 200}
    given = {"name": "demo", "training": training, "model": {"family": "unet_fill"}} | changed
    return parse_as(retraining_run, given, "a file")


def test_without_a_champion_it_is_the_config_itself_on_all_sources():
    made = run().training_run(None)
    assert [source.label for source in made.data] == ["folder", "collected"]
    assert made.training == run().training
    assert made.model == run().model
    assert made.training.init_from is None


def test_from_a_champion_it_is_half_the_work_at_full_size_with_the_prior_from_the_first_step():
    made = run().training_run("demo@champion")
    # of 1,000 steps 750 cost a quarter: 437.5 steps' work
    assert made.training.steps == 219
    assert made.training.coarse_share == 0
    assert made.training.learning_rate == pytest.approx(1e-3)
    assert made.training.warmup_steps == 20
    assert made.training.validate_every == 44
    assert made.model.options.prior_from == 0
    assert made.model.options.confidence_from == 0
    assert made.training.init_from == "demo@champion"
    assert made.training.source_share is not None
    assert (made.training.source_share.source, made.training.source_share.share) == ("collected", 0.5)


def test_what_it_makes_is_a_training_that_the_training_pipeline_takes():
    made = run(retraining={"new_share": 0.3, "work": 1.0, "peak": 1.0}).training_run("demo@champion")
    again = parse_settings(made.model_dump(mode="json"), "settings.yaml")
    assert again == made
    assert again.digest == made.digest


def test_its_own_part_changes_no_training():
    one, other = (run(retraining={"decision": {"min_people": people}}) for people in (20, 3))
    assert one.training_run("demo@champion").digest == other.training_run("demo@champion").digest


@pytest.mark.parametrize(
    ("retraining", "said"),
    [
        ({"new_share": 1.0}, r"retraining\.new_share = 1.0"),
        ({"inbox": {"complete": "soon"}}, r"retraining\.inbox\.complete = 'soon'"),
        ({"decide": {}}, r"retraining\.decide: no such key; allowed here: inbox, collect, decision"),
        ({"collect": {"min_quality": 2}}, r"retraining\.collect\.min_quality = 2"),
        ({"max_hours": 0}, r"retraining\.max_hours = 0"),
    ],
)
def test_a_wrong_setting_is_one_line(retraining: dict[str, object], said: str) -> None:
    with pytest.raises(FaceReconError, match=said):
        run(retraining=retraining)


def test_a_training_has_no_such_part():
    with pytest.raises(FaceReconError, match=r"parameters\.retraining: no such key"):
        parse_settings({"retraining": {}}, "a file")


def test_an_old_source_of_the_collected_ones_name_is_refused():
    sources = [{"source": "folder", "name": "collected", "path": "a"}]
    with pytest.raises(FaceReconError, match="2 sources are called 'collected'"):
        run(data=sources).training_run(None)
