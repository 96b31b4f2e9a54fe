"""The champion is followed, without a failed request, and what is loaded is served whatever becomes of the registry."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import mlflow
import pytest
from mlflow import MlflowClient

from facerecon.errors import FaceReconError
from facerecon.inference.making import Model
from ops.registry import CHAMPION
from ops.stack.tracker import EXPERIMENT, create_experiment, local_uri
from serving.served import Served
from serving.server import running
from serving.settings import ServeSettings
from tests.serving.client import Answer, Running, serving
from tests.serving.test_live import live
from tests.serving.test_videos import KILLED
from tests.small_model import model_file, restoration_file

NAME = "facerecon-demo"


@pytest.fixture(scope="module")
def registry(own_folders: Path) -> Iterator[MlflowClient]:
    """A registry of the module's own with versions 1, the champion, and 2."""
    (own_folders / "state").mkdir()
    create_experiment()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(local_uri())
    client = MlflowClient()
    client.create_registered_model(NAME)
    for number in (1, 2):
        run = client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id)
        path = own_folders / f"{number}/model.onnx"
        path.parent.mkdir()
        path.write_bytes(model_file(seed=number))
        client.log_artifact(run.info.run_id, str(path), "published")
        client.create_model_version(NAME, path.parent.as_uri(), run.info.run_id)
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    yield client
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def settings(registry: MlflowClient, settings: ServeSettings) -> ServeSettings:
    """The champion is followed, and asked for often."""
    return settings.model_copy(
        update={"model": None, "restore_model": None, "landmarks_model": None, "follow_seconds": 0.05}
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_new_champion_is_served_soon_and_no_request_fails(
    settings: ServeSettings, token: str, photo: bytes, registry: MlflowClient
) -> None:
    answers: list[Answer] = []
    stop = Event()
    with serving(settings, token) as service:

        def ask() -> None:
            while not stop.is_set():
                answers.append(service.post("/v1/reconstructions", photo=photo, regions="nose"))

        client = Thread(target=ask)
        client.start()
        for number in ("1", "2", "1"):
            registry.set_registered_model_alias(NAME, CHAMPION, number)
            begun = len(answers)
            wait_for(lambda number=number: answers[-1:] and answers[-1].headers["facerecon-model"] == f"demo/{number}")
            wait_for(lambda begun=begun: len(answers) > begun + 2)
        stop.set()
        client.join()
    assert {answer.status for answer in answers} == {200}
    seen = [answer.headers["facerecon-model"] for answer in answers]
    assert [one for one, before in zip(seen, ["", *seen], strict=False) if one != before] == [
        "demo/1",
        "demo/2",
        "demo/1",
    ]
    for answer in answers:
        model = answer.json["record"]["model"]
        assert f"{model['name']}/{model['version']}" == answer.headers["facerecon-model"]
        assert answer.json["model"]["digest"] == answer.headers["facerecon-model-digest"]


def told(service: Running) -> tuple[str, bool, bool]:
    """The version that is served, whether there is trouble, and whether the metrics agree."""
    (model,) = service.get("/v1/models").json["models"]
    answers = "facerecon_registry_answers 1" in service.get("/metrics").content.decode()
    return model["version"], bool(model["trouble"]), answers != bool(model["trouble"])


def test_what_is_loaded_is_served_on_without_its_version_or_its_registry(
    settings: ServeSettings, token: str, photo: bytes, registry: MlflowClient, own_folders: Path
) -> None:
    database, away = own_folders / "state/mlflow.db", own_folders / "away.db"
    with serving(settings, token) as service:
        assert told(service) == ("1", False, True)
        database.rename(away)
        wait_for(lambda: told(service)[1])
        assert service.ask("GET", "/readyz").status == 200
        away.rename(database)
        wait_for(lambda: not told(service)[1])
        registry.delete_model_version(NAME, "1")
        wait_for(lambda: told(service)[1])
        assert told(service) == ("1", True, True)
        answer = service.post("/v1/reconstructions", photo=photo, regions="nose")
        assert (answer.status, answer.headers["facerecon-model"]) == (200, "demo/1")
        registry.set_registered_model_alias(NAME, CHAMPION, "2")
        wait_for(lambda: told(service) == ("2", False, True))


def test_files_alone_follow_nothing_and_what_is_not_given_is_told(
    settings: ServeSettings, token: str, photo: bytes, model_path: Path
) -> None:
    with serving(settings.model_copy(update={"model": str(model_path)}), token) as service:
        answer = service.post("/v1/restorations", photo=photo)
        assert (answer.status, "start `facerecon serve` with --restore-model" in answer.detail) == (409, True)
        assert [model["task"] for model in service.get("/v1/models").json["models"]] == ["inpainting"]
        answer = service.post("/v1/landmarks", photo=photo)
        assert (answer.status, "start `facerecon serve` with --landmarks-model" in answer.detail) == (409, True)
        page = service.get("/").content.decode()
        assert ('id="restore"' in page, "with --restore-model" in page) == (False, True)
        assert ('id="video-by"' in page, "with --landmarks-model" in page) == (False, True)


@contextmanager
def process(settings: ServeSettings, token: str) -> Iterator[Running]:
    """A service in a process of its own, which ends with the block."""
    started = subprocess.Popen(
        [sys.executable, "-c", KILLED, settings.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"MLFLOW_TRACKING_URI": local_uri()},
    )
    try:
        assert started.stdout
        port = int(started.stdout.readline().partition("/open")[0].rpartition(":")[2])
        yield Running(None, port, token)  # type: ignore[arg-type]
    finally:
        started.kill()
        started.communicate()


@pytest.mark.parametrize("lacks", ["restoration", "inpainting", "landmarks"])
@pytest.mark.usefixtures("sharp", "mean")
def test_a_task_without_a_champion_is_waited_for_and_its_first_is_served_by_the_same_process(
    lacks: str, settings: ServeSettings, token: str, photo: bytes, registry: MlflowClient
) -> None:
    path, more, button, name, model = {
        "restoration": ("/v1/restorations", {}, 'id="restore"', "facerecon-sharp", "sharp/1"),
        "inpainting": ("/v1/reconstructions", {"regions": "nose"}, 'id="make">', NAME, "demo/2"),
        "landmarks": ("/v1/landmarks", {}, 'value="network"> mean/1', "facerecon-mean", "mean/1"),
    }[lacks]
    registry.set_registered_model_alias(NAME, CHAMPION, "2")
    registry.delete_registered_model_alias(name, CHAMPION)
    with process(settings, token) as service:
        answer = service.post(path, photo=photo, **more)
        said = f"no model of {lacks} has a champion yet: once `facerecon promote CONFIG/VERSION` makes one"
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert said in answer.detail
        assert "`zenml pipeline run training" in answer.detail
        page = service.get("/").content.decode()
        assert (button in page, said in page) == (False, True)
        assert [each["task"] for each in service.get("/v1/models").json["models"]] == [
            task for task in ("inpainting", "restoration", "landmarks") if task != lacks
        ]
        assert "facerecon_registry_answers 1" in service.get("/metrics").content.decode()
        assert len(service.post("/v1/regions", photo=photo).json["faces"]) == 1
        if lacks == "landmarks":
            with live(service) as socket:
                socket.begin(b"x", task="landmarks")
                assert said in socket.refused()
        if lacks == "inpainting":
            assert service.post("/v1/videos", video=b"x", regions="nose").status == 503
            with live(service) as socket:
                socket.load(b"x")
                assert said in socket.refused()
        registry.set_registered_model_alias(name, CHAMPION, model.rpartition("/")[2])
        wait_for(lambda: len(service.get("/v1/models").json["models"]) == 3)
        answer = service.post(path, photo=photo, **more)
        assert (answer.status, answer.headers["facerecon-model"]) == (200, model)
        page = service.get("/").content.decode()
        assert (button in page, said in page) == (True, False)


@pytest.mark.usefixtures("sharp")
def test_without_any_champion_nothing_is_started(settings: ServeSettings, registry: MlflowClient) -> None:
    for name in (NAME, "facerecon-sharp"):
        registry.delete_registered_model_alias(name, CHAMPION)
    with pytest.raises(FaceReconError, match="demo has no champion"), running(settings):
        pass
    registry.set_registered_model_alias(NAME, CHAMPION, "2")


@pytest.fixture
def sharp(registry: MlflowClient, own_folders: Path) -> Iterator[None]:
    """A model of restoration with versions 1, its champion, and 2, beside that of inpainting."""
    name = "facerecon-sharp"
    registry.create_registered_model(name)
    for number in (1, 2):
        run = registry.create_run(registry.get_experiment_by_name(EXPERIMENT).experiment_id)
        path = own_folders / f"sharp{number}/model.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(restoration_file(seed=number))
        registry.log_artifact(run.info.run_id, str(path), "published")
        registry.create_model_version(name, path.parent.as_uri(), run.info.run_id, tags={"task": "restoration"})
    registry.set_registered_model_alias(name, CHAMPION, "1")
    yield
    registry.delete_registered_model(name)


@pytest.fixture
def mean(registry: MlflowClient, own_folders: Path, measuring_model: Model) -> Iterator[None]:
    """A model of landmarks with one version, its champion."""
    name = "facerecon-mean"
    registry.create_registered_model(name)
    run = registry.create_run(registry.get_experiment_by_name(EXPERIMENT).experiment_id)
    path = own_folders / "mean/model.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(measuring_model.content)
    registry.log_artifact(run.info.run_id, str(path), "published")
    registry.create_model_version(name, path.parent.as_uri(), run.info.run_id, tags={"task": "landmarks"})
    registry.set_registered_model_alias(name, CHAMPION, "1")
    yield
    registry.delete_registered_model(name)


@pytest.mark.usefixtures("sharp")
def test_each_task_follows_its_own_champion(
    settings: ServeSettings, token: str, photo: bytes, registry: MlflowClient
) -> None:
    registry.set_registered_model_alias(NAME, CHAMPION, "2")
    with serving(settings, token) as service:

        def made_by() -> tuple[str, str]:
            return (
                service.post("/v1/reconstructions", photo=photo, regions="nose").headers["facerecon-model"],
                service.post("/v1/restorations", photo=photo).headers["facerecon-model"],
            )

        assert made_by() == ("demo/2", "sharp/1")
        registry.set_registered_model_alias("facerecon-sharp", CHAMPION, "2")
        wait_for(lambda: made_by() == ("demo/2", "sharp/2"))
        listed = [(model["task"], model["version"]) for model in service.get("/v1/models").json["models"]]
        assert listed == [("inpainting", "2"), ("restoration", "2")]


def test_a_restore_model_that_cannot_be_used_is_told_by_its_option(settings: ServeSettings, model_path: Path) -> None:
    wrong = settings.model_copy(update={"restore_model": str(model_path)})
    with pytest.raises(FaceReconError, match="--restore-model: a model of task 'inpainting'; expected"), running(wrong):
        pass


def test_a_version_that_cannot_be_loaded_is_not_taken(
    registry: MlflowClient, settings: ServeSettings, own_folders: Path
) -> None:
    registry.set_registered_model_alias(NAME, CHAMPION, "2")
    served = Served(None, 1, 1)
    run = registry.create_run(registry.get_experiment_by_name(EXPERIMENT).experiment_id)
    path = own_folders / "broken/model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"no model")
    registry.log_artifact(run.info.run_id, str(path), "published")
    version = registry.create_model_version(NAME, path.parent.as_uri(), run.info.run_id)
    registry.set_registered_model_alias(NAME, CHAMPION, version.version)
    with pytest.raises(FaceReconError, match="not a model"):
        served.look()
    with served.runtime() as (model, _):
        assert str(model) == "demo/2"
    served.close()
