"""A log in which a user finds what matters: no tracebacks of errors that they can mend, no chatter of libraries."""

import logging
import os

from facerecon.errors import FaceReconError

CHATTY = ("alembic", "great_expectations", "mlflow.onnx", "onnx_ir", "onnxscript", "torch.onnx")
"""Loggers that tell of their inner workings at level INFO, which ZenML sets for all."""


class _ForUsers(logging.Filter):
    """Drops the traceback of a FaceReconError, whose message the command line prints last, and one false alarm."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], FaceReconError):
            record.exc_info = None
            record.exc_text = None
        # ZenML tries to switch off autologging of frameworks that this project does not have
        return not record.getMessage().startswith("Failed to disable MLflow autologging")


def quiet_libraries() -> None:
    """Keep the chatty libraries to errors."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def shorten_user_errors() -> None:
    """Keep the tracebacks of errors that a user can mend out of the log, unless ``FACERECON_DEBUG`` is set."""
    if os.environ.get("FACERECON_DEBUG"):
        return
    for name in ("", "zenml"):
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(known, _ForUsers) for known in handler.filters):
                handler.addFilter(_ForUsers())
