"""Ask the servers of a stack whether they answer and accept the credentials, before anything is registered."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from facerecon.errors import FaceReconError
from ops.stack.files import Stack

if TYPE_CHECKING:
    from mlflow import MlflowClient

CREDENTIALS = {
    "tracking_username": "MLFLOW_TRACKING_USERNAME",
    "tracking_password": "MLFLOW_TRACKING_PASSWORD",
    "tracking_token": "MLFLOW_TRACKING_TOKEN",
}
"""MLflow's environment variables by the keys of ZenML's tracker."""


def probe_tracker(stack: Stack) -> "MlflowClient":
    """A client of the stack's tracker, which answers.

    Raises:
        FaceReconError: the stack names none, or it does not answer, or refuses the credentials.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    where = f"infra/stacks/{stack.name}.yaml: components.experiment_tracker"
    tracker = stack.components["experiment_tracker"]
    uri = str(tracker.configuration.get("tracking_uri", ""))
    if tracker.flavor != "mlflow" or not uri:
        raise FaceReconError(
            f"{where}: runs are tracked by MLflow: give flavor: mlflow, and configuration.tracking_uri"
        )
    for key, variable in CREDENTIALS.items():
        if value := stack.values.get("experiment_tracker", {}).get(key):
            os.environ[variable] = value
    client = MlflowClient(uri)
    if uri.startswith("sqlite:"):
        return client
    with _retried_once(), _one_line(f"the MLflow server at {uri}", (MlflowException,)):
        client.search_experiments(max_results=1)
    return client


def probe_s3(stack: Stack) -> None:
    """See that there is a bucket for artifacts, that the shared place can be written to, and that of two who create an
    object one is refused.

    Raises:
        FaceReconError: it is not so; on conditional writes rest leases and journal.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from ops.shared.s3 import Bucket

    store = stack.components["artifact_store"]
    options = {**store.configuration, **stack.values.get("artifact_store", {})}
    assert stack.shared is not None
    artifacts = str(store.configuration.get("path", ""))
    with _one_line(f"the S3 server of {artifacts}", (BotoCoreError, ClientError)):
        Bucket.of(artifacts, options).read("probe")
    bucket, name = Bucket.of(stack.shared, options), f"probes/{uuid4().hex}"
    with _one_line(f"the S3 server of {stack.shared}", (BotoCoreError, ClientError)):
        created = bucket.create(name, b"")
        twice = bucket.create(name, b"")
        bucket.remove(name)
    if created is None or twice is not None:
        raise FaceReconError(
            f"the S3 server of {stack.shared} creates an object twice, so that two machines could hold one lease: "
            "it must know If-None-Match, as SeaweedFS does"
        )


@contextmanager
def _one_line(who: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        said = " ".join(str(error).split())[:200]
        raise FaceReconError(f"{who} refuses or does not answer ({said}): see that it runs, and its secrets") from error


@contextmanager
def _retried_once() -> Iterator[None]:
    """MLflow tries a server that is away for minutes; a person who waits is told at once."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before: Any = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
