"""An S3 server of the test process's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from infra.services.environment import prepare
from infra.services.programs import s3
from infra.services.supervisor import start, stop
from ops.shared.s3 import Bucket


@pytest.fixture(scope="session")
def server(
    infra: None, free_ports: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, object]]:
    """What ZenML's artifact store is told of an S3 server that runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACERECON_STATE", str(tmp_path_factory.mktemp("s3") / "state"))
        made = prepare(free_ports())
        start([s3(made)], lambda line: None)
        yield {
            "key": made.secret("FACERECON_S3_KEY"),
            "secret": made.secret("FACERECON_S3_SECRET"),
            "client_kwargs": {"endpoint_url": made.secret("FACERECON_S3_URL"), "region_name": "us-east-1"},
        }
        stop("SeaweedFS")


@pytest.fixture
def bucket(server: dict[str, object]) -> Bucket:
    """An empty place on it."""
    return Bucket.of(f"s3://state/{uuid4().hex}", server)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    return tmp_path
