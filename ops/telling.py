"""Tell people what a retraining did: the stack's alerter, else a webhook, and the log always."""

import json
import logging
import os
import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from facerecon.telling import TellingSettings

LOG = logging.getLogger(__name__)

NOTHING_NEW = "nothing new"
"""The outcome of which only the log tells."""

FAILED = "failed"
"""The outcome of a run that did not end well."""

TIMEOUT = 10
"""Seconds that a webhook has to answer."""

_TRY_AGAIN = frozenset({408, 425, 429})
"""Refusals (4xx) that may pass."""


def tell(lines: list[str], outcome: str, settings: TellingSettings) -> None:
    """Tell ``lines`` and the ``outcome``, a word or two; the caller sees to it that they name no person.

    Nobody is written to about ``NOTHING_NEW``. What cannot be told is a warning in the log, and no error: the run was
    what it was.
    """
    for line in lines:
        LOG.log(logging.ERROR if outcome == FAILED else logging.INFO, line)
    if outcome != NOTHING_NEW and not _alert("\n".join(lines)) and settings.webhook:
        _post({"text": "\n".join(lines), "outcome": outcome}, settings.webhook, settings.retries)


def _alert(text: str) -> bool:
    """Whether the active stack has an alerter that has taken the text."""
    # imported when it is used: it takes seconds
    from zenml.client import Client

    try:
        alerter = Client().active_stack.alerter
        if alerter is None:
            return False
        if alerter.post(text):
            return True
        LOG.warning("the stack's alerter '%s' has not taken the message", alerter.name)
    except Exception as error:  # each alerter has errors of its own
        LOG.warning("the stack's alerter cannot be told: %s: %s", type(error).__name__, " ".join(str(error).split()))
    return False


def _post(message: dict[str, str], variable: str, retries: int) -> None:
    address = os.environ.get(variable, "")
    if not address.startswith(("http://", "https://")):
        what = "holds no http address" if address else "is not set"
        LOG.warning("telling.webhook: nobody is told: the environment variable %s %s", variable, what)
        return
    said = ""
    for number in range(retries + 1):
        if number:
            time.sleep(2 ** (number - 1))
        try:
            with urlopen(_request(address, message), timeout=TIMEOUT):
                return
        except HTTPError as error:
            said = f"status {error.code}"
            if error.code < 500 and error.code not in _TRY_AGAIN:
                break
        except (OSError, HTTPException, ValueError) as error:  # their messages may hold the address
            reason = error.reason if isinstance(error, URLError) else error
            said = os.strerror(reason.errno) if isinstance(reason, OSError) and reason.errno else type(reason).__name__
    LOG.warning("telling.webhook: nobody is told: the webhook in %s fails (%s)", variable, said)


def _request(address: str, message: dict[str, str]) -> Request:
    return Request(address, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST")
