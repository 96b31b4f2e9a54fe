"""Who may, and from where."""

import socket

import pytest

from facerecon.custody.audit import audit_log
from facerecon.custody.folder import custody_folder
from facerecon.errors import FaceReconError
from serving.server import serve
from serving.settings import ServeSettings
from serving.tokens import add_token, read_tokens, revoke_token, tokens_path
from tests.serving.client import Running

GUARDED = ("/", "/docs", "/metrics", "/v1/models", "/v1/openapi.json", "/static/docs.css", "/nothing")


@pytest.mark.parametrize("path", GUARDED)
def test_nothing_is_shown_without_a_token(service: Running, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}, {"cookie": "facerecon=x"}):
        answer = service.ask("GET", path, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_that_it_lives_and_is_ready_anybody_may_ask(service: Running) -> None:
    assert [service.ask("GET", path).status for path in ("/livez", "/readyz")] == [200, 200]


def test_a_token_is_kept_as_its_hash_only_and_revoked_at_once(service: Running) -> None:
    text = add_token("eve")
    assert text not in tokens_path().read_text()
    assert tokens_path().stat().st_mode & 0o777 == 0o600
    headers = {"authorization": f"Bearer {text}"}
    assert service.ask("GET", "/v1/models", headers=headers).status == 200
    with pytest.raises(FaceReconError, match="there is a token called eve"):
        add_token("eve")
    revoke_token("eve")
    assert service.ask("GET", "/v1/models", headers=headers).status == 401
    assert service.get("/v1/models").status == 200
    assert [token.name for token in read_tokens()] == ["ada"]
    assert [line.event for line in audit_log().lines()][-2:] == ["token-added", "token-revoked"]
    with pytest.raises(FaceReconError, match="no token is called 'eve'; there are: ada"):
        revoke_token("eve")


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "ü", "../x"])
def test_a_token_has_a_plain_name(name: str, service: Running) -> None:
    with pytest.raises(FaceReconError, match="is no name for a token"):
        add_token(name)


def test_the_link_works_once_and_becomes_a_cookie(service: Running) -> None:
    link = f"/open?code={service.service.access.code}"
    assert service.ask("GET", "/open?code=wrong").status == 401
    answer = service.ask("GET", link)
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert service.service.access.code not in cookie
    assert service.ask("GET", link).status == 401
    mine = {"cookie": cookie.partition(";")[0]}
    assert service.ask("GET", "/docs", headers=mine).status == 200
    assert service.ask("GET", "/docs", headers={"cookie": mine["cookie"] + "x"}).status == 401


def test_a_session_ends_with_its_token_or_with_time(service: Running) -> None:
    text = add_token("bob")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert service.ask("POST", "/open", b"token=wrong", kind).status == 401
    answer = service.ask("POST", "/open", f"token={text}".encode(), kind)
    mine = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert service.ask("GET", "/v1/models", headers=mine).status == 200
    revoke_token("bob")
    assert service.ask("GET", "/v1/models", headers=mine).status == 401
    access = service.service.access
    access._sessions = {key: (holder, 0.0) for key, (holder, _) in access._sessions.items()}
    assert service.ask("GET", "/v1/models", headers=mine).status == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.1.2.3", "", "127.0.0.1@evil.example"])
def test_another_host_is_refused(service: Running, host: str) -> None:
    answer = service.get("/v1/models", host=host)
    assert answer.status in (400, 421)
    assert service.ask("GET", "/livez", headers={"host": host}).status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "[::1]:8100"])
def test_its_own_hosts_are_not(service: Running, host: str) -> None:
    assert service.get("/v1/models", host=host).status == 200


def test_another_sites_page_may_send_nothing(service: Running, photo: bytes) -> None:
    for origin in ("http://evil.example", "null", "http://[", "", f"http://127.0.0.1:{service.port + 1}"):
        answer = service.ask("POST", "/v1/regions", b"", service.mine | {"origin": origin})
        assert (answer.status, "another site" in answer.detail) == (403, True)
    own = {"origin": f"http://127.0.0.1:{service.port}"}
    assert service.ask("POST", "/v1/regions", b"", service.mine | own).status == 415


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, "401"),
        ({"host": "evil.example"}, "host"),
        ({"origin": "http://evil.example"}, "origin"),
    ],
)
def test_no_websocket_is_opened_from_elsewhere(service: Running, headers: dict[str, str], status: str) -> None:
    mine = {} if status == "401" else service.mine
    sent = {"host": f"127.0.0.1:{service.port}", **mine, **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            f"GET /v1/live HTTP/1.1\r\n{lines}upgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


def test_other_machines_are_served_only_once_there_is_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path, settings: ServeSettings
) -> None:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path))
    with pytest.raises(FaceReconError, match="there is no token yet"):
        serve(settings.model_copy(update={"host": "0.0.0.0"}), print)
    assert not list(custody_folder().iterdir())


def test_every_answer_says_that_nothing_comes_from_elsewhere(service: Running) -> None:
    for path in ("/livez", "/docs", "/v1/models", "/nothing"):
        headers = service.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")
        assert headers["cache-control"] == "no-store"
    assert service.ask("GET", "/docs").headers["content-security-policy"].startswith("default-src 'none';")
    assert b"http" not in service.get("/docs").content.replace(b"http-equiv", b"")
