"""A service in a thread of the test, and a client that speaks HTTP to it."""

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from serving.server import Server, listen, running
from serving.service import Service
from serving.settings import ServeSettings

Part = str | bytes | list[str]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def detail(self) -> str:
        """A problem's line."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        assert "\n" not in self.json["detail"]
        return str(self.json["detail"])


@dataclass(frozen=True)
class Running:
    """A service that runs."""

    service: Service
    port: int
    token: str
    server: Server | None = None

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One request, without a token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    @property
    def mine(self) -> dict[str, str]:
        """The header that lets in."""
        return {"authorization": f"Bearer {self.token}"}

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=self.mine | headers)

    def post(self, path: str, accept: str = "application/json", **parts: Part) -> Answer:
        """A multipart form: bytes are files, texts are fields."""
        body, kind = multipart(parts)
        return self.ask("POST", path, body, self.mine | {"content-type": kind, "accept": accept})


def multipart(parts: Mapping[str, Part], name: str = "a.png") -> tuple[bytes, str]:
    """A body and its type."""
    boundary = uuid.uuid4().hex
    rows = []
    for field, values in parts.items():
        for value in values if isinstance(values, list) else [values]:
            file = f'; filename="{name}"' if isinstance(value, bytes) else ""
            content = value if isinstance(value, bytes) else value.encode()
            head = f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"{file}\r\n\r\n'
            rows.append(head.encode() + content + b"\r\n")
    return b"".join(rows) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextmanager
def serving(settings: ServeSettings, token: str) -> Iterator[Running]:
    """A service on a free port, to which ``token`` lets in."""
    opened = Event()
    with listen(settings) as listener, running(settings) as service:
        port = listener.getsockname()[1]
        server = Server(service)
        server.opened = opened.set
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert opened.wait(30)
            yield Running(service, port, token, server)
        finally:
            server.should_exit = True
            thread.join()
