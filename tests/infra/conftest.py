"""What tests of manifests need beside the project."""

import importlib.util
import os

import pytest


@pytest.fixture(scope="session")
def kubernetes_packages() -> None:
    """Kubernetes' client and schemas are installed; else tests skip, or fail if FACERECON_INFRA is set."""
    absent = [name for name in ("kubernetes", "kubernetes_validate") if importlib.util.find_spec(name) is None]
    if not absent:
        return
    said = f"{', '.join(absent)} not installed: `make install-infra`"
    if os.environ.get("FACERECON_INFRA"):
        pytest.fail(said)
    pytest.skip(said)
