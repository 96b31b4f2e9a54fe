"""What went wrong, as RFC 9457 has it: problem+json with one line."""

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from facerecon.errors import FaceReconError

LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """RFC 9457's."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """Ends a request with this status; ``detail`` is one line for whoever asked."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, " ".join(detail.split()), dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body = ProblemDetails(title=self.status.phrase, status=self.status, detail=self.detail)
        return JSONResponse(body.model_dump(), self.status, self.headers, MEDIA_TYPE)


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


UNEXPECTED = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the service's log says what")


def own_fault(error: Exception) -> ProblemError:
    """What the client cannot mend: it is logged, and told without detail."""
    LOG.error("%s", error.message if isinstance(error, FaceReconError) else error, exc_info=error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return ProblemError(HTTPStatus.INSUFFICIENT_STORAGE, "no space is left on the service's disk")
        cause = cause.__cause__
    return UNEXPECTED
