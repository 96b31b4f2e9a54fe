"""A custody folder for each test."""

from pathlib import Path

import pytest


@pytest.fixture
def custody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key and the log of this test lie; not made yet."""
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    return tmp_path / "custody"
