"""Videos: accepted ones are made, whatever happens, and gone when they are removed or have expired."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import av
import numpy as np
import pytest

from facerecon.custody.audit import audit_log
from facerecon.files import TEMPORARY, sha256_bytes
from facerecon.images import read_rgb
from facerecon.inference.verification import Given, verify
from serving.jobs import MOST_ATTEMPTS, Job, Jobs, LostError
from serving.settings import ServeSettings
from tests.clips import write_clip
from tests.serving.client import Answer, Running, serving
from tests.serving.conftest import png


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, photo: bytes) -> bytes:
    """Twelve frames in which a face moves to the right."""
    image = read_rgb(photo)
    moved = (np.roll(image, number, axis=1) for number in range(12))
    return write_clip(tmp_path_factory.mktemp("clip") / "walk.mkv", moved).read_bytes()


def until(what: Callable[[], Answer], *states: str, seconds: float = 60) -> Answer:
    """The first answer with one of these states."""
    end = time.monotonic() + seconds
    while (answer := what()).json["state"] not in states:
        assert time.monotonic() < end
        assert answer.json["state"] in ("queued", "running"), answer.json
        time.sleep(0.05)
    return answer


def test_a_video_is_accepted_made_fetched_and_removed(
    service: Running, clip: bytes, model_path: Path, own_folders: Path, tmp_path: Path
) -> None:
    accepted = service.post("/v1/videos", video=clip, regions="lower-face", case="7", lossless="true")
    where = accepted.headers["location"]
    assert (accepted.status, accepted.json["state"], where) == (202, "queued", f"/v1/videos/{accepted.json['id']}")
    made = until(lambda: service.get(where), "done").json
    assert made["frames_done"] == made["frames"] == 12
    result, record = service.get(made["result"]), service.get(made["record"])
    assert result.headers["content-type"] == "video/x-matroska"
    for answer in (result, record):
        name = answer.headers["content-disposition"].partition('filename="')[2].strip('"')
        (tmp_path / name).write_bytes(answer.content)
    (tmp_path / "walk.mkv").write_bytes(clip)
    (path,) = tmp_path.glob("reconstruction-*.mkv")
    verdict = verify(Given(path, tmp_path / "walk.mkv", None, None, lambda _: [model_path.read_bytes()]))
    assert verdict.status == 0, verdict.findings
    document = json.loads(record.content)["document"]["record"]["document"]
    assert (document["operator"], document["case"], len(document["frames"])) == ("ada", "7", 12)
    assert service.ask("DELETE", where, headers=service.mine).status == 204
    assert service.get(where).status == 404
    assert not list((own_folders / "state/serving").glob("*/*"))


@pytest.mark.parametrize("upscale", ["1", "2"])
def test_a_video_is_restored_and_its_record_verifies_without_a_mask(
    upscale: str, service: Running, clip: bytes, restoring_path: Path, tmp_path: Path
) -> None:
    asked = {"task": "restoration", "upscale": upscale, "lossless": "true"}
    where = service.post("/v1/videos", video=clip, **asked).headers["location"]
    made = until(lambda: service.get(where), "done").json
    for answer in (service.get(made["result"]), service.get(made["record"])):
        name = answer.headers["content-disposition"].partition('filename="')[2].strip('"')
        (tmp_path / name).write_bytes(answer.content)
    (tmp_path / "walk.mkv").write_bytes(clip)
    (path,) = tmp_path.glob("restoration-*.mkv")
    verdict = verify(Given(path, tmp_path / "walk.mkv", None, None, lambda _: [restoring_path.read_bytes()]))
    assert verdict.status == 0, verdict.findings
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (256 * int(upscale), 256 * int(upscale))
    assert service.ask("DELETE", where, headers=service.mine).status == 204


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"regions": "nose"}, "regions: restoration hides nothing"),
        ({"mask": png(np.eye(256, dtype=np.uint8) * 255)}, "mask: restoration takes none"),
        ({"upscale": "4"}, "frames of 1024 x 1024 when enlarged 4 times; at most 1 megapixels are made: give a lower"),
        ({"task": "inpainting", "regions": "nose", "upscale": "2"}, "upscale: only restoration enlarges"),
        ({"task": "landmarks"}, "task:"),
    ],
    ids=["a region", "a mask", "too large", "filled and enlarged", "unknown"],
)
def test_what_a_task_does_not_take_is_told_at_once(
    given: dict[str, str | bytes], said: str, service: Running, clip: bytes, own_folders: Path
) -> None:
    answer = service.post("/v1/videos", **({"video": clip, "task": "restoration"} | given))
    assert (answer.status, said in answer.detail) == (422, True), answer.detail
    assert not list((own_folders / "state/serving").glob("*/*"))


BAD = {
    "a text": (422, "video:", {"video": b"no video at all"}),
    "empty": (422, "video:", {"video": b""}),
    "a playlist": (422, "video:", {"video": b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n"}),
    "an address": (422, "never fetched", {"video": "http://127.0.0.1:1/a.mp4"}),
    "nothing hidden": (422, "nothing is to be hidden", {"regions": ""}),
    "a mask of another size": (422, "the mask has 20 x 10", {"mask": png(np.eye(10, 20, dtype=np.uint8) * 255)}),
    "an unknown region": (422, "'ears' is not known", {"regions": "ears"}),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_video_is_told_at_once(what: str, service: Running, clip: bytes, own_folders: Path) -> None:
    status, said, changed = BAD[what]
    answer = service.post("/v1/videos", **({"video": clip, "regions": "nose"} | changed))
    assert (answer.status, said in answer.detail) == (status, True), answer.detail
    assert str(own_folders) not in answer.detail
    assert not list((own_folders / "state/serving").glob("*/*"))


def test_too_large_a_video_is_cut_off(service: Running) -> None:
    assert service.post("/v1/videos", video=b"x" * 6_000_000).status == 413


def test_a_video_in_which_nothing_can_be_filled_fails_with_one_line(service: Running, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "gray.mkv", [np.full((64, 64, 3), 90, np.uint8)])
    where = service.post("/v1/videos", video=path.read_bytes(), regions="nose").headers["location"]
    failed = until(lambda: service.get(where), "failed").json
    assert failed["detail"].startswith("video: nothing was filled: no face was found")
    assert service.get(f"{where}/result").status == 409


def test_a_video_is_nobody_elses(service: Running, clip: bytes) -> None:
    from serving.tokens import add_token

    where = service.post("/v1/videos", video=clip, regions="nose").headers["location"]
    other = {"authorization": f"Bearer {add_token('other')}"}
    for method, path in (("GET", where), ("GET", f"{where}/result"), ("GET", f"{where}/record"), ("DELETE", where)):
        assert service.ask(method, path, headers=other).status == 404
    assert service.ask("DELETE", where, headers=service.mine).status == 204


def test_a_service_without_a_model_of_restoration_takes_no_video_for_it_and_leaves_those_that_are_there(
    settings: ServeSettings, token: str, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))

    def fill(folder: Path) -> None:
        (folder / "upload").write_bytes(clip)
        # as a kill leaves them while the clip is made, and while its record is written
        for name in ("unfinished-a.mp4", f"{TEMPORARY}record-a.json"):
            (folder / name).write_bytes(b"half")

    left = Jobs(keep_seconds=100, lease_seconds=10).accept("ada", '{"task": "restoration"}', fill)
    with serving(settings.model_copy(update={"restore_model": None}), token) as alone:
        answer = alone.post("/v1/videos", video=clip, task="restoration")
        assert (answer.status, "with --restore-model" in answer.detail) == (409, True)
        where = alone.post("/v1/videos", video=clip, regions="nose").headers["location"]
        until(lambda: alone.get(where), "done")
        assert alone.get(f"/v1/videos/{left.id}").json["state"] == "queued"
    with serving(settings, token) as both:
        until(lambda: both.get(f"/v1/videos/{left.id}"), "done")
    assert {path.name.partition("-")[0] for path in left.folder.iterdir()} == {"upload", "record.json", "restoration"}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    return Jobs(keep_seconds=100, lease_seconds=10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, to be set."""
    now = [time.time()]
    monkeypatch.setattr("serving.jobs.time.time", lambda: now[0])
    return now


TASKS = ("inpainting",)


def accepted(jobs: Jobs, form: str = "{}") -> Job:
    def fill(folder: Path) -> None:
        (folder / "upload").write_bytes(b"x")

    return jobs.accept("ada", form, fill)


def test_what_waits_for_a_model_that_is_not_served_is_not_counted(jobs: Jobs) -> None:
    accepted(jobs, '{"task": "restoration"}')
    accepted(jobs)
    accepted(jobs, '{"task": "inpainting"}')
    assert [jobs.waiting(tasks) for tasks in (TASKS, ("restoration",), ("inpainting", "restoration"), ())] == [
        2,
        1,
        3,
        0,
    ]
    assert jobs.counts()["queued"] == 3


def test_an_expired_lease_is_taken_again_and_the_first_worker_publishes_nothing(jobs: Jobs, clock: list[float]) -> None:
    job = accepted(jobs)
    assert jobs.claim("a", TASKS) == jobs.find(job.id, "ada")
    assert jobs.claim("b", TASKS) is None
    clock[0] += 9
    jobs.renew(job, "a", 3)
    clock[0] += 9
    assert jobs.claim("b", TASKS) is None
    clock[0] += 2
    assert jobs.claim("b", TASKS).id == job.id
    published = []
    with pytest.raises(LostError):
        jobs.finish(job, "a", 5, "a.mp4", lambda: published.append("a"))
    with pytest.raises(LostError):
        jobs.renew(job, "a", 4)
    jobs.fail(job, "a", "a late word")
    jobs.finish(job, "b", 5, "b.mp4", lambda: published.append("b"))
    assert published == ["b"]
    assert (jobs.find(job.id, "ada").state, jobs.find(job.id, "ada").result) == ("done", "b.mp4")


def test_a_job_that_kills_its_workers_is_given_up(jobs: Jobs, clock: list[float]) -> None:
    job = accepted(jobs)
    for worker in range(MOST_ATTEMPTS):
        assert jobs.claim(str(worker), TASKS).attempts == worker + 1
        clock[0] += 11
    assert jobs.claim("last", TASKS) is None
    assert (jobs.find(job.id, "ada").state, "given up" in jobs.find(job.id, "ada").detail) == ("failed", True)


def test_a_job_that_was_begun_before_waits_for_the_others(jobs: Jobs, clock: list[float]) -> None:
    first, second = accepted(jobs), accepted(jobs)
    assert jobs.claim("a", TASKS).id == first.id
    clock[0] += 11
    assert [jobs.claim("b", TASKS).id, jobs.claim("c", TASKS).id] == [second.id, first.id]


def test_one_that_was_put_back_was_not_begun(jobs: Jobs) -> None:
    job = accepted(jobs)
    for _ in range(MOST_ATTEMPTS + 1):
        jobs.put_back(jobs.claim("a", TASKS), "a")
    assert (jobs.find(job.id, "ada").state, jobs.find(job.id, "ada").attempts) == ("queued", 0)


def test_jobs_expire_with_all_their_files(jobs: Jobs, clock: list[float]) -> None:
    job = accepted(jobs)
    clock[0] += 99
    jobs.expire()
    assert job.upload.is_file()
    clock[0] += 2
    jobs.expire()
    assert not job.folder.exists()
    assert jobs.find(job.id, "ada") is None


def test_what_cannot_be_written_was_never_accepted(jobs: Jobs, tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        (folder / "upload").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        jobs.accept("ada", "{}", full)
    assert not list((tmp_path / "serving").glob("*/*"))
    assert jobs.claim("a", TASKS) is None


KILLED = """
import json, sys
from serving.server import serve
from serving.settings import ServeSettings
serve(ServeSettings.model_validate(json.loads(sys.argv[1])), lambda link: print(link, flush=True))
"""


def test_a_killed_service_loses_no_video(
    settings: ServeSettings, token: str, clip: bytes, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a state of its own: the module's service would take the job
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    quick = settings.model_copy(update={"lease_seconds": 0.5, "workers": 1})
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, quick.model_dump_json()], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout
    port = int(process.stdout.readline().partition("/open")[0].rpartition(":")[2])
    away = Running(None, port, token)  # type: ignore[arg-type]
    where = away.post("/v1/videos", video=clip, regions="lower-face").headers["location"]
    until(lambda: away.get(where), "running")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with serving(quick, token) as again:
        assert until(lambda: again.get(where), "done").json["frames_done"] == 12
        folder = tmp_path / "state/serving" / where.rpartition("/")[2]
        assert {path.name.partition("-")[0] for path in folder.iterdir()} == {"upload", "record.json", "reconstruction"}


KILLS = 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_fifty_moments_a_service_loses_no_video_that_it_accepted(
    settings: ServeSettings, token: str, clip: bytes, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    quick = settings.model_copy(update={"lease_seconds": 0.5, "workers": 1})
    accepted: list[str] = []
    rng = random.Random(0)
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, quick.model_dump_json()], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            port = int(process.stdout.readline().partition("/open")[0].rpartition(":")[2])
            away = Running(None, port, token)  # type: ignore[arg-type]
            killer = Timer(rng.uniform(0, 1.5), process.kill)
            killer.start()
            try:
                while True:
                    # one that was not answered may be there or not
                    answer = away.post("/v1/videos", video=clip, regions="lower-face")
                    # one that is told that too many wait was not accepted
                    assert answer.status in (202, 503), answer.content
                    accepted += [answer.headers["location"]] if answer.status == 202 else []
                    time.sleep(0.4)
            except (OSError, http.client.HTTPException):
                killer.join()
        assert audit_log().check().broken == ""
    assert len(accepted) > KILLS / 2
    given_up = 0
    with serving(quick, token) as again:
        for where in accepted:
            state = until(lambda where=where: again.get(where), "done", "failed", seconds=300).json
            if state["state"] == "failed":
                assert "it is given up" in state["detail"]
                given_up += 1
                continue
            record = again.get(state["record"]).json
            result = again.get(state["result"]).content
            assert sha256_bytes(result) in json.dumps(record)
            folder = tmp_path / "state/serving" / where.rpartition("/")[2]
            assert {path.name.partition("-")[0] for path in folder.iterdir()} == {
                *("upload", "record.json", "reconstruction"),
            }
    assert given_up < len(accepted) / 4
    assert audit_log().check().broken == ""
