"""What stands before everything else: who asks, from where, and how much may be sent; and what every answer says."""

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facerecon.errors import FaceReconError
from serving.access import Access, Holder
from serving.metrics import Metrics
from serving.pages import refusal_page
from serving.problems import ClientGoneError, ProblemError, own_fault
from serving.settings import ServeSettings

LOG = logging.getLogger(__name__)

HOLDER = "facerecon.holder"
"""Where a scope says who asks."""

OPEN = frozenset({"/livez", "/readyz", "/open"})
"""What anybody may ask."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # with "no-referrer" browsers say that a form comes from nowhere (Origin: null)
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""What every answer says: nothing is loaded from elsewhere, framed, kept or told to others."""


_LINGER_SECONDS = 5


class Guard:
    """An application behind its guard. ``limit_of`` tells how many bytes the body of a request to a path may have."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        metrics: Metrics,
        settings: ServeSettings,
        limit_of: Callable[[str], int],
    ) -> None:
        self._app, self._access, self._metrics, self._limit_of = app, access, metrics, limit_of
        self._loopback = settings.is_loopback
        own = {"localhost"} if self._loopback else {"localhost", socket.gethostname().lower()}
        self._names = own | {name.lower() for name in (settings.host, *settings.names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            try:
                scope[HOLDER] = self._admitted(scope)
            except ProblemError:
                # before it was accepted: the server answers 403
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            scope[HOLDER] = self._admitted(scope)
            counted = _Counted(receive, self._limit_of(scope["path"]))
            await counted.check(Headers(scope=scope).get("content-length", ""))
            await self._app(scope, counted, answer)
        except ClientGoneError:
            status = status or 499
        except Exception as error:
            problem = error if isinstance(error, ProblemError) else own_fault(error)
            if status == 0:
                await _response(problem, scope)(scope, receive, answer)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "other")
            method = scope["method"] if scope["method"] in (*SAFE, "POST", "DELETE") else "other"
            self._metrics.count(path, method, status, time.monotonic() - begun)

    def _admitted(self, scope: Scope) -> Holder | None:
        """Who asks.

        Raises:
            ProblemError: nobody who may, or not in a way that is allowed.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_own(host):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host of this request is not the service's: use the address that it printed, or start it with "
                "--name HOST",
            )
        origin = headers.get("origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE
        if (
            unsafe
            and origin is not None
            and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")
        ):
            raise ProblemError(HTTPStatus.FORBIDDEN, "this request comes from a page of another site")
        try:
            holder = self._access.holder(headers)
        except FaceReconError as error:
            raise own_fault(error) from error
        if holder is None and scope["path"] not in OPEN:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "a token that was not revoked is needed (Authorization: Bearer ..., see `facerecon token add NAME`), "
                "or the one-time link that `facerecon serve` printed",
                {"www-authenticate": 'Bearer realm="facerecon"'},
            )
        return holder

    def _is_own(self, host: str) -> bool:
        """Whether a Host is one of the service's: a page elsewhere cannot let its own name point here."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback


class _Counted:
    """Receives a body and counts it as it comes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._come = receive, most, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._come += len(message.get("body", b""))
        if self._come > self._most:
            raise await self._too_large()
        return message

    async def check(self, announced: str) -> None:
        """Refuse a body whose length is said to be too large, before anything of it is read."""
        if announced.isdecimal() and int(announced) > self._most:
            if int(announced) > 3 * self._most:
                self._come = int(announced)
            raise await self._too_large()

    async def _too_large(self) -> ProblemError:
        # a client that is cut off while it sends would not see why: some more is taken, and dropped
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._come < 3 * self._most:
                    message = await self._receive()
                    self._come += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        detail = f"more than {self._most / 1e6:g} MB were sent, at most that are taken"
        return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, {"connection": "close"})


def _response(problem: ProblemError, scope: Scope) -> Response:
    accept = Headers(scope=scope).get("accept", "")
    if problem.status == HTTPStatus.UNAUTHORIZED and scope["method"] == "GET" and "text/html" in accept:
        return HTMLResponse(refusal_page(), problem.status, problem.headers)
    return problem.response()
