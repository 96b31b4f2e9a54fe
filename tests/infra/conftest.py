"""What tests of clusters need beside the project."""

import importlib.util

import pytest

from infra.services.programs import BUCKETS, REGION
from tests.conftest import skip_without


def absent(*modules: str) -> list[str]:
    """Those of the modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="session")
def kubernetes_packages() -> None:
    """Kubernetes' client and schemas are installed; else tests skip, or fail if FACERECON_INFRA is set."""
    skip_without(absent("kubernetes", "kubernetes_validate"), "`make install-infra`")


@pytest.fixture(scope="session")
def kubeflow_packages() -> None:
    """Kubeflow's packages are installed; else tests skip, or fail if FACERECON_INFRA is set."""
    skip_without(absent("kfp", "kubernetes", "flask_wtf"), "`make install-infra`")


def create_buckets(keys: dict[str, str]) -> None:
    """The buckets of the stacks, on the S3 server that the stacks' variables name."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=keys["FACERECON_S3_URL"],
        aws_access_key_id=keys["FACERECON_S3_KEY"],
        aws_secret_access_key=keys["FACERECON_S3_SECRET"],
        region_name=REGION,
    )
    for name in BUCKETS:
        client.create_bucket(Bucket=name)
