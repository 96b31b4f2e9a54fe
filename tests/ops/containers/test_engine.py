"""Docker's socket: no engine and no image are one line. Containers are run by `make check-infra`."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops.containers.engine import LABEL, engine_run


def test_without_an_engine_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(FaceReconError, match="no Docker and no podman answers"), engine_run("facerecon:1", {}):
        pass


class Engine(BaseHTTPRequestHandler):
    """Docker's API as far as it is asked: one image is known, and two containers carry the run's label."""

    removed: list[str]
    filters: list[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.endswith(("/version", "/_ping")):
            self.answer(200, {"ApiVersion": "1.41"})
        elif "/images/" in self.path:
            known = "facerecon:1" in self.path
            self.answer(200 if known else 404, {"Id": "sha256:1", "message": "no such image"})
        elif "/containers/json" in self.path:
            self.filters.append(self.path)
            self.answer(200, [{"Id": "one"}, {"Id": "two"}])
        else:
            self.answer(200, {"Id": self.path.split("/")[-2], "Config": {"Labels": {}}})

    def do_DELETE(self) -> None:
        name = self.path.split("?")[0].split("/")[-1]
        self.removed.append(name)
        # this one was quicker
        self.answer(404 if name == "one" else 204, {"message": "no such container"})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    kind = type("Known", (Engine,), {"removed": [], "filters": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield kind
    server.shutdown()
    server.server_close()


def test_an_image_that_is_not_there_is_one_line(engine: type[Engine]) -> None:
    with (
        pytest.raises(FaceReconError, match="there is no image other:1: run `make image`"),
        engine_run("other:1", {}),
    ):
        pass


def test_what_a_stopped_run_leaves_is_ended(engine: type[Engine], tmp_path: Path) -> None:
    state = tmp_path / "state"
    given = {"volumes": {str(state): {"bind": "/state"}, "a-volume": {"bind": "/weights"}}, "labels": {"mine": "1"}}
    with pytest.raises(KeyboardInterrupt), engine_run("facerecon:1", given) as arguments:  # noqa: PT012
        assert state.is_dir()
        assert arguments["labels"]["mine"] == "1"
        assert not engine.removed
        raise KeyboardInterrupt
    assert engine.removed == ["one", "two"]
    assert f"{LABEL}%3D{arguments['labels'][LABEL]}" in engine.filters[0]
