"""Where the machines that work with the active stack's registry keep together what it needs."""

from functools import lru_cache
from typing import Any

import mlflow
from botocore.exceptions import BotoCoreError, ClientError

from facerecon.errors import FaceReconError
from ops.shared.s3 import Bucket
from ops.stack.tracker import SERVER, SHARED, labels, use_tracker

ERRORS = (BotoCoreError, ClientError)
"""What S3's client raises."""


def shared_place() -> Bucket | None:
    """The stack's shared objects; None where the tracker is this machine's, and all is in the state folder.

    Raises:
        FaceReconError: the stack names no place, or its tracker does not answer.
    """
    uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else use_tracker()
    return _place(uri) if uri.startswith(SERVER) else None


@lru_cache(maxsize=8)
def _place(uri: str) -> Bucket:
    from zenml.client import Client

    address = labels().get(SHARED)
    if address is None:
        raise FaceReconError(
            f"the active stack tracks at {uri} and names no shared place: describe it in a file of infra/stacks/ with "
            "`shared:`, and register it with `facerecon stack NAME`"
        )
    return bucket_at(str(address), Client().active_stack.artifact_store.config)


def bucket_at(address: str, config: Any) -> Bucket:
    """The objects below an S3 address, with the access that the configuration of a ZenML artifact store gives."""
    names = ("key", "secret", "token", "client_kwargs")
    return Bucket.of(address, {name: getattr(config, name, None) for name in names})


def unreachable(error: Exception) -> FaceReconError:
    """One line on a shared place that does not answer."""
    said = " ".join(str(error).split())[:200]
    return FaceReconError(
        f"the stack's shared place in S3 does not answer as it should ({said}), and without it no model is promoted: "
        "see that it runs, and run the same command again"
    )
