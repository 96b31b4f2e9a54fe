"""The registry on sqlite: models that can be loaded, and versions found by what a user calls them."""

import mlflow
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.tasks import get_task
from ops.registry import connect, find_version, registered_models, registered_name


def test_the_registered_model_can_be_loaded_and_used(offer, make_model):
    offer(1, 20.0)
    loaded = mlflow.pyfunc.load_model(f"models:/{registered_name('demo')}@champion")
    given = get_task("inpainting").example(make_model(0))
    output = loaded.predict(given)
    assert output["reconstruction"].shape == (1, 3, 32, 32)
    known = np.broadcast_to(given["mask"] == 0, given["image"].shape)
    assert (output["reconstruction"][known] == given["image"][known]).all()


def test_a_version_is_found_by_every_name_a_user_has_for_it(offer):
    offer(1, 20.0)
    offer(2, 19.0)
    for text, number in (
        *(("demo/2", 2), ("facerecon-demo/2", 2), ("models:/facerecon-demo/2", 2), ("2", 2)),
        *(("demo", 1), ("demo@champion", 1), ("@champion", 1), ("demo@challenger", 2), ("champion@challenger", None)),
    ):
        if number is None:
            with pytest.raises(FaceReconError, match="no model of config 'champion' is registered; there are: demo"):
                find_version(text)
        else:
            found = find_version(text)
            assert (found.name, int(found.version)) == ("facerecon-demo", number), text
            assert found.tags["weights_digest"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "several models, say which: demo, lfw"),
        ("@champion", "several models, say which: demo, lfw"),
        ("demo/9", "demo has no version 9; there are: 1"),
        ("demo@best", r"demo has no best; its aliases: anchor \(version 1\), challenger \(version 1\), champion"),
        ("lfw", r"lfw has no champion; its aliases: challenger \(version 1\)"),
        ("", "'' is not a model version; expected demo/3 or demo@champion"),
        ("demo/x y", "'demo/x y' is not a model version; expected demo/3 or demo@champion"),
    ],
)
def test_what_names_no_version_is_told_what_there_is(offer, text, said):
    offer(1, 20.0)
    offer(1, 20.0, config="lfw", data_licences={"photos": "unknown"})
    with pytest.raises(FaceReconError, match=said):
        find_version(text)


def test_of_several_models_those_of_the_task_count(offer):
    offer(1, 20.0)
    client = connect()
    with pytest.raises(FaceReconError, match=r"no model of restoration is registered yet: train one, or name"):
        find_version("@champion", "restoration")
    client.create_registered_model("facerecon-sharp")
    client.create_model_version("facerecon-sharp", "file:///nowhere", tags={"task": "restoration"})
    client.set_registered_model_alias("facerecon-sharp", "champion", "1")
    assert find_version("@champion", "restoration").name == "facerecon-sharp"
    assert find_version("1", "inpainting").name == "facerecon-demo"
    assert find_version("sharp", "inpainting").name == "facerecon-sharp"  # what is named is what is meant
    # registered before there was a second task
    client.create_registered_model("facerecon-old")
    client.create_model_version("facerecon-old", "file:///nowhere")
    with pytest.raises(FaceReconError, match=r"several models, say which: demo, old$"):
        find_version("@champion", "inpainting")


def test_with_no_model_at_all_the_way_to_one_is_told(state):
    with pytest.raises(FaceReconError, match="no model is registered yet: train one"):
        find_version("demo")


def test_the_tracker_is_this_clones_own_unless_another_is_set(state, monkeypatch):
    mlflow.set_tracking_uri("")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    connect()
    assert mlflow.get_tracking_uri() == f"sqlite:///{state / 'mlflow.db'}"
    mlflow.set_tracking_uri(f"sqlite:///{state / 'elsewhere.db'}")
    with pytest.raises(FaceReconError, match=r"elsewhere\.db is not there"):
        connect()
    assert not (state / "elsewhere.db").exists()


def test_models_beyond_mlflows_first_page_are_known(offer):
    client = connect()
    for number in range(101):
        client.create_registered_model(registered_name(f"many-{number:03d}"))
    assert [model.name for model in registered_models(client)] == [f"facerecon-many-{n:03d}" for n in range(101)]
