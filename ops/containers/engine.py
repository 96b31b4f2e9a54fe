"""Containers on this machine, which ZenML's orchestrator `local_docker` starts through Docker's socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
from docker.errors import DockerException, ImageNotFound, NotFound

from facerecon.errors import FaceReconError

FLAVOR = "local_docker"
LABEL = "facerecon.run"
"""The containers of a run carry this label, each run a value of its own."""


@contextmanager
def engine_run(image: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The `run_args` for a run's containers; those that are left when it ends, because it was stopped, are ended.

    ``arguments`` are those of the stack: folders of this machine that it mounts are made if they are missing.

    Raises:
        FaceReconError: no engine answers, or it does not know the image.
    """
    try:
        client = docker.from_env()
        client.ping()
        client.images.get(image)
    except ImageNotFound as error:
        raise FaceReconError(f"there is no image {image}: run `make image`") from error
    except DockerException as error:
        raise FaceReconError(
            f"no Docker and no podman answers ({' '.join(str(error).split())[:200]}): start one, as by `podman system "
            "service --time=0 unix:///tmp/podman.sock`, and let DOCKER_HOST name its socket"
        ) from error
    for folder in arguments.get("volumes") or {}:
        if str(folder).startswith("/"):
            Path(folder).mkdir(parents=True, exist_ok=True)
    mark = uuid4().hex
    try:
        yield {**arguments, "labels": {**(arguments.get("labels") or {}), LABEL: mark}}
    finally:
        for container in client.containers.list(filters={"label": f"{LABEL}={mark}"}):
            try:
                container.remove(force=True)
            except NotFound:  # it ended meanwhile
                continue
        client.close()
