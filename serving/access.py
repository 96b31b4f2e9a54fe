"""Who asks: the holder of a token, or a browser that came through the one-time link."""

import hmac
import secrets
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from facerecon.files import sha256_bytes
from serving.tokens import Token, TokenBook


@dataclass(frozen=True)
class Holder:
    """Who may: ``name`` is what records call the operator; ``token`` is None for who came through the link."""

    name: str
    token: Token | None = None


class Access:
    """Tokens, the one-time code and the sessions, which are in memory only; for one thread.

    ``owner`` is who started the service: whoever opens the printed link.
    """

    def __init__(self, owner: str, session_seconds: float) -> None:
        self._book, self._owner, self.session_seconds = TokenBook(), owner, session_seconds
        self.code = secrets.token_urlsafe(32)
        self._code_digest: str | None = _digest(self.code)
        self._sessions: dict[str, tuple[Holder, float]] = {}
        self.cookie = "facerecon"
        """The cookie's name, which has the port in it: browsers do not keep those of two ports apart."""

    def open_by_code(self, code: str) -> str | None:
        """A new session's secret for the one-time code, which is worthless afterwards; None for another code."""
        if self._code_digest is None or not hmac.compare_digest(self._code_digest, _digest(code)):
            return None
        self._code_digest = None
        return self._begin(Holder(self._owner))

    def open_by_token(self, text: str) -> str | None:
        """A new session's secret for a token; None for another text."""
        token = self._book.find(text)
        return None if token is None else self._begin(Holder(token.name, token))

    def holder(self, headers: Headers) -> Holder | None:
        """Who asks with these headers; None if nobody who may.

        Raises:
            FaceReconError: the tokens cannot be read.
        """
        kind, _, text = headers.get("authorization", "").partition(" ")
        if kind:
            token = self._book.find(text.strip()) if kind.lower() == "bearer" else None
            return None if token is None else Holder(token.name, token)
        return self._of_session(_cookie(headers, self.cookie))

    def _of_session(self, secret: str) -> Holder | None:
        # by its hash: how long looking up takes tells nothing of the secret
        holder, until = self._sessions.get(_digest(secret), (None, 0.0))
        if holder is None or until < time.monotonic() or (holder.token and not self._book.holds(holder.token)):
            return None
        return holder

    def _begin(self, holder: Holder) -> str:
        now, secret = time.monotonic(), secrets.token_urlsafe(32)
        self._sessions = {key: each for key, each in self._sessions.items() if each[1] > now}
        self._sessions[_digest(secret)] = holder, now + self.session_seconds
        return secret


def _digest(text: str) -> str:
    return sha256_bytes(text.encode("utf-8", "surrogateescape"))


def _cookie(headers: Headers, name: str) -> str:
    try:
        cookies = SimpleCookie("; ".join(headers.getlist("cookie")))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""
