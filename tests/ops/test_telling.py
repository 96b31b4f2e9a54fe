"""A webhook on this machine is told what is to be told; one that fails is a warning and no error."""

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
from zenml.client import Client

from facerecon.telling import TellingSettings
from ops import telling
from ops.telling import FAILED, NOTHING_NEW, tell


class Webhook(HTTPServer):
    """Answers with ``answers`` in turn, the last one for ever; keeps what was posted."""

    answers = (200,)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        assert self.headers["Content-Type"] == "application/json"
        number = min(len(self.server.posted), len(self.server.answers)) - 1
        self.send_response(self.server.answers[number])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    server = Webhook()
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/secret")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between tries, none of them really."""
    seconds: list[float] = []
    monkeypatch.setattr(telling.time, "sleep", seconds.append)
    return seconds


@pytest.fixture(autouse=True)
def alerter(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The active stack; it has no alerter at first."""
    stack = SimpleNamespace(alerter=None)
    monkeypatch.setattr(Client, "active_stack", stack)
    return stack


HOOK = TellingSettings(webhook="HOOK")


def test_a_webhook_is_told_text_and_outcome(webhook, waited):
    tell(["taken in: 3 clips", "outcome: promoted"], "promoted", HOOK)
    assert webhook.posted == [{"text": "taken in: 3 clips\noutcome: promoted", "outcome": "promoted"}]
    assert not waited


def test_a_webhook_that_fails_is_tried_again(webhook, waited, caplog):
    webhook.answers = (500, 503, 200)
    tell(["it failed"], FAILED, HOOK)
    assert len(webhook.posted) == 3
    assert waited == [1, 2]
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(("answer", "tries"), [(500, 3), (429, 3), (404, 1)])
def test_a_webhook_that_goes_on_failing_is_one_warning_without_the_address(webhook, caplog, answer, tries):
    webhook.answers = (answer,)
    tell(["it failed"], FAILED, TellingSettings(webhook="HOOK", retries=2))
    assert len(webhook.posted) == tries
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == f"telling.webhook: nobody is told: the webhook in HOOK fails (status {answer})"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "the environment variable HOOK is not set"),
        ("file:///etc/passwd", "the environment variable HOOK holds no http address"),
        ("http://127.0.0.1:1/secret", "fails (Connection refused)"),
        ("http://127.0.0.1:x/secret", "fails (InvalidURL)"),
        ("http://[/secret", "telling.webhook: nobody is told"),
    ],
)
def test_an_address_that_is_none_is_one_warning(monkeypatch, caplog, address, said):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOOK", address)
    tell(["it failed"], FAILED, HOOK)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said in warning
    assert "secret" not in warning


def test_nobody_is_written_to_about_nothing(webhook, caplog):
    caplog.set_level(logging.INFO)
    tell(["nothing to do"], NOTHING_NEW, HOOK)
    assert not webhook.posted
    assert "nothing to do" in caplog.text


def test_without_a_webhook_the_log_tells(caplog):
    tell(["it failed"], FAILED, TellingSettings())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", "it failed")]


def test_the_stacks_alerter_comes_first(webhook, alerter):
    texts: list[str] = []
    alerter.alerter = SimpleNamespace(name="chat", post=lambda text: texts.append(text) or True)
    tell(["outcome: promoted"], "promoted", HOOK)
    assert texts == ["outcome: promoted"]
    assert not webhook.posted


def test_the_webhook_stands_in_for_an_alerter_that_fails(webhook, alerter, caplog):
    alerter.alerter = SimpleNamespace(name="chat", post=lambda text: False)
    tell(["it failed"], FAILED, HOOK)
    alerter.alerter = SimpleNamespace(name="chat", post=lambda text: 1 / 0)
    tell(["it failed"], FAILED, HOOK)
    assert len(webhook.posted) == 2
    assert "alerter 'chat' has not taken" in caplog.text
    assert "cannot be told: ZeroDivisionError" in caplog.text
