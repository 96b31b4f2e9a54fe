"""How a service behaves: when it is full, when the champion changes, and when it is told to end."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

import serving.photos
from facerecon.errors import FaceReconError
from serving.server import listen, running
from serving.settings import ServeSettings
from tests.serving.client import Running, multipart
from tests.serving.client import serving as serve_in_thread
from tests.serving.test_videos import KILLED

ROOT = Path(__file__).parents[2]


def wait_for(what: Callable[[], bool]) -> None:
    """Until it is so."""
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Workers wait until the block is left; the list has an item for each that has begun."""
    go, begun, real = Event(), [], serving.photos.signing_key

    def waiting():
        begun.append(1)
        assert go.wait(30)
        return real()

    with monkeypatch.context() as patch:
        patch.setattr(serving.photos, "signing_key", waiting)
        try:
            yield begun
        finally:
            go.set()


def test_what_finds_no_place_is_told_when_to_come_again(
    service: Running, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = service.service.pool
    with ThreadPoolExecutor(3) as clients:
        with held_up(monkeypatch):
            asked = [clients.submit(service.post, "/v1/reconstructions", photo=photo, regions="nose") for _ in range(3)]
            wait_for(lambda: pool.held == 3)
            refused = service.post("/v1/reconstructions", photo=photo, regions="nose")
            assert (refused.status, "too many requests" in refused.detail) == (503, True)
            assert int(refused.headers["retry-after"]) >= 1
            assert "facerecon_requests_held 3" in service.get("/metrics").content.decode()
            assert service.ask("GET", "/readyz").status == 200
        assert [each.result().status for each in asked] == [200, 200, 200]
    wait_for(lambda: pool.held == 0)


def test_the_queued_work_of_a_client_that_is_gone_is_dropped(
    service: Running, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, kind = multipart({"photo": photo, "regions": "nose"})
    head = f"POST /v1/reconstructions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {service.token}\r\n"
    whole = f"{head}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    pool = service.service.pool
    with held_up(monkeypatch) as begun:
        first, second = (socket.create_connection(("127.0.0.1", service.port)) for _ in range(2))
        first.sendall(whole)
        wait_for(lambda: bool(begun))
        second.sendall(whole)
        wait_for(lambda: pool.held == 2)
        second.close()
        wait_for(lambda: pool.held == 1)
        first.close()
    wait_for(lambda: pool.held == 0)
    assert len(begun) == 1


def test_what_is_wrong_here_is_no_matter_of_the_clients(
    service: Running, photo: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for error, status in ((OSError(28, "secret"), 507), (RuntimeError("secret"), 500)):

        def failing(error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(serving.photos, "signing_key", failing)
        answer = service.post("/v1/reconstructions", photo=photo, regions="nose")
        assert (answer.status, "secret" in answer.detail) == (status, False)
        assert "secret" in caplog.text
    monkeypatch.undo()
    assert service.post("/v1/reconstructions", photo=photo, regions="nose").status == 200


def test_it_says_what_it_serves(service: Running, model_path: Path) -> None:
    told = service.get("/v1/models").json
    (model,) = (model for model in told["models"] if model["task"] == "inpainting")
    assert (model["name"], model["version"], model["follows"], model["trouble"]) == ("tiny.onnx", "", None, "")
    assert (model["size"], model["family"], model["licence"]) == (64, "two_convolutions", "MIT")
    assert "glasses" in told["regions"]
    metrics = service.get("/metrics").content.decode()
    assert f'facerecon_model{{name="tiny.onnx",version="",digest="{model["digest"]}",task="inpainting"}} 1' in metrics
    assert 'facerecon_videos{state="queued"} 0' in metrics


def test_what_is_counted_has_no_names_in_it(service: Running) -> None:
    service.get("/v1/videos/0123456789abcdef")
    service.get("/someone/elses/name.jpg")
    text = service.get("/metrics").content.decode()
    assert 'path="/v1/videos/{job}",method="GET",status="404"' in text
    assert 'path="other"' in text
    assert "0123456789abcdef" not in text
    assert "name.jpg" not in text


def test_told_to_end_it_is_not_ready_but_finishes_what_it_has_begun(
    settings: ServeSettings, token: str, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(settings, token) as ending, ThreadPoolExecutor(1) as client:
        assert ending.server is not None
        with held_up(monkeypatch) as begun:
            asked = client.submit(ending.post, "/v1/reconstructions", photo=photo, regions="nose")
            wait_for(lambda: bool(begun))
            ending.server.handle_exit(signal.SIGTERM, None)
            for _ in range(3):
                time.sleep(0.1)
                assert ending.ask("GET", "/readyz").status == 503
            assert "about to end" in ending.post("/v1/reconstructions", photo=photo, regions="nose").detail
            assert ending.post("/v1/videos", video=b"x", regions="nose").status == 503
            assert ending.ask("GET", "/livez").status == 200
        assert asked.result().status == 200
        wait_for(lambda: ending.server.should_exit)


@pytest.fixture
def process(settings: ServeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen]:
    """A service in a process of its own."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    ready = settings.model_copy(update={"workers": 1}).model_dump_json()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, ready], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    yield process
    process.kill()
    process.communicate()


def test_sigterm_finishes_what_is_being_made_and_ends_with_0(process, token: str, photo: bytes) -> None:
    port = int(process.stdout.readline().partition("/open")[0].rpartition(":")[2])
    away = Running(None, port, token)  # type: ignore[arg-type]
    assert away.ask("GET", "/readyz").status == 200
    assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
    with ThreadPoolExecutor(2) as clients:
        asked = [clients.submit(away.post, "/v1/reconstructions", photo=photo, regions="face") for _ in range(2)]
        wait_for(lambda: "facerecon_requests_held 2" in away.get("/metrics").content.decode() or asked[0].done())
        process.send_signal(signal.SIGTERM)
        seen = set()
        while process.poll() is None:
            try:
                seen.add(away.ask("GET", "/readyz").status)
                seen.add(away.post("/v1/reconstructions", photo=photo, regions="face").status)
            except OSError:
                break
        assert [each.result().status for each in asked] == [200, 200]
    assert process.wait(10) == 0
    assert "no request is taken any more" in process.stderr.read()
    assert seen <= {200, 503}


def test_an_address_that_is_taken_is_one_line(service: Running, settings: ServeSettings) -> None:
    with pytest.raises(FaceReconError, match="choose another by --port"):
        listen(settings.model_copy(update={"port": service.port}))


def test_a_file_that_is_no_model_is_one_line(settings: ServeSettings, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"none")
    broken = settings.model_copy(update={"model": str(tmp_path / "a.onnx")})
    with pytest.raises(FaceReconError, match="not a model that ONNX Runtime can open"), running(broken):
        pass
