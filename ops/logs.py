"""A log in which a user finds what matters."""

import logging
import warnings

CHATTY = ("alembic", "great_expectations", "mlflow.onnx", "onnx_ir", "onnxscript", "torch.onnx")
"""Loggers that tell of their inner workings at level INFO, which ZenML sets for all."""


def quiet_libraries() -> None:
    """Keep the chatty libraries to errors."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    # that Python 3.11 will not be supported for ever is no news to who runs a command
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core")
