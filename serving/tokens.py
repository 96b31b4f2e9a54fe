"""Who may use the service: tokens by name, of which only hashes are kept, beside the signing key."""

import fcntl
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from facerecon.custody.audit import audit_log
from facerecon.custody.folder import custody_folder, make_private, told
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, write_text
from facerecon.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Token(Settings):
    """A token's name, the SHA-256 of its text, and when it was made, in UTC."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    made: str


class _File(Settings):
    schema_version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


def tokens_path() -> Path:
    """The file with the hashes."""
    return custody_folder() / "tokens.json"


def read_tokens() -> tuple[Token, ...]:
    """All tokens, in the order in which they were made.

    Raises:
        FaceReconError: the file cannot be read, or was changed.
    """
    path = tokens_path()
    with told(path, "not read"):
        if not path.exists():
            return ()
        try:
            return _File.model_validate_json(path.read_bytes()).tokens
        except ValidationError as error:
            raise FaceReconError(
                f"{path}: holds no tokens: remove it, then add each with `facerecon token add`"
            ) from error


def add_token(name: str) -> str:
    """Make a token called ``name``; its text, which is not kept, is returned.

    Raises:
        FaceReconError: there is one already, it is no name, or nothing can be written.
    """
    if not _NAME.fullmatch(name):
        raise FaceReconError(
            f"{name!a} is no name for a token: expected at most 64 letters, digits, dots, dashes, _ or @"
        )
    text = secrets.token_urlsafe(32)
    token = Token(name=name, sha256=sha256_bytes(text.encode()), made=datetime.now(UTC).isoformat(timespec="seconds"))
    with _changing() as tokens:
        if any(each.name == name for each in tokens):
            raise FaceReconError(f"there is a token called {name}: revoke it first, or choose another name")
        audit_log().append("token-added", token=token.sha256)
        _write((*tokens, token))
    return text


def revoke_token(name: str) -> None:
    """Make the token called ``name`` worthless; a service that runs knows it at once.

    Raises:
        FaceReconError: there is none, or nothing can be written.
    """
    with _changing() as tokens:
        gone = next((each for each in tokens if each.name == name), None)
        if gone is None:
            names = ", ".join(each.name for each in tokens) or "none"
            raise FaceReconError(f"no token is called {name!a}; there are: {names}")
        audit_log().append("token-revoked", token=gone.sha256)
        _write(tuple(each for each in tokens if each is not gone))


@contextmanager
def _changing() -> Iterator[tuple[Token, ...]]:
    folder = custody_folder()
    make_private(folder)
    with told(tokens_path(), "not written"), (folder / "tokens.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield read_tokens()


def _write(tokens: tuple[Token, ...]) -> None:
    write_text(tokens_path(), _File(tokens=tokens).model_dump_json(indent=2) + "\n", 0o600)


class TokenBook:
    """The tokens as they are now: the file is read again whenever it has changed."""

    def __init__(self) -> None:
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def find(self, text: str) -> Token | None:
        """The token of this text."""
        digest = sha256_bytes(text.encode("utf-8", "surrogateescape"))
        found = None
        for token in self._now():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def holds(self, token: Token) -> bool:
        """Whether it was not revoked."""
        return token in self._now()

    def _now(self) -> tuple[Token, ...]:
        with told(tokens_path(), "not read"):
            try:
                stat = tokens_path().stat()
                seen = stat.st_ino, stat.st_mtime_ns, stat.st_size
            except FileNotFoundError:
                seen = None
        if seen != self._seen:
            self._tokens, self._seen = read_tokens(), seen
        return self._tokens
