"""What `training.init_from` stands for, resolved before a run."""

import mlflow
import pytest

from facerecon.errors import FaceReconError
from facerecon.models.trained import save_model
from facerecon.run import parse_settings
from ops.initial_weights import InitialWeights, resolve


def resolved(text: str | None) -> InitialWeights | None:
    return resolve(parse_settings({"training": {"init_from": text}}, "test"))


def test_without_it_training_starts_afresh(offer):
    assert resolved(None) is None


def test_a_version_and_an_alias_are_the_digest_of_that_moment(offer, make_model):
    offer(1, 20.0)
    before = resolved("demo@champion")
    assert before == resolved("demo/1") == resolved("demo")
    assert (before.digest, before.source) == (make_model(1).digest, "facerecon-demo version 1")
    assert before.load().digest == make_model(1).digest
    offer(2, 21.0)
    after = resolved("demo@champion")
    assert after.digest == make_model(2).digest != before.digest
    assert before.load().digest == make_model(1).digest


def test_a_run_is_the_version_that_holds_its_weights(offer, make_model):
    offer(1, 20.0)
    offer(2, 21.0)
    with mlflow.start_run(run_name="later"):
        mlflow.set_tag("weights_digest", make_model(1).digest)
    assert resolved("later").source == "facerecon-demo version 1"
    with mlflow.start_run(run_name="stray"):
        mlflow.set_tag("weights_digest", "none of them")
    with pytest.raises(FaceReconError, match=r"'stray': no registered version holds the weights of that run"):
        resolved("stray")


def test_a_file_is_known_by_its_content(offer, make_model, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_model(path, make_model(7))
    found = resolved(str(path))
    assert (found.digest, found.source) == (make_model(7).digest, "file mine.safetensors")
    assert found.load().step == 1
    save_model(path, make_model(8))
    with pytest.raises(FaceReconError, match=r"are not those that were registered as training.init_from"):
        found.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("demo/9", "demo has no version 9; there are: 1"),
        ("demo@best", "demo has no best"),
        ("lfw@champion", "no model of config 'lfw' is registered; there are: demo"),
        ("no-such-run", "no run is called 'no-such-run'"),
        ("nowhere.safetensors", "nowhere.safetensors does not exist: give a .safetensors file of a run"),
        ("README.safetensors", "not a facerecon model"),
    ],
)
def test_what_is_not_there_is_one_line(offer, tmp_path, monkeypatch, text, said):
    monkeypatch.setattr("ops.initial_weights.PROJECT", tmp_path)
    (tmp_path / "README.safetensors").write_text("hello")
    offer(1, 20.0)
    with pytest.raises(FaceReconError, match=said) as caught:
        resolved(text)
    assert caught.value.message.startswith("training.init_from: ")
    assert "\n" not in caught.value.message


def test_weights_that_are_gone_are_named_before_anything_runs(offer):
    offer(1, 20.0)
    (offer.state / "weights-1.safetensors").unlink()
    with pytest.raises(FaceReconError, match=r"training.init_from: the weights of version 1 are gone"):
        resolved("demo/1")
