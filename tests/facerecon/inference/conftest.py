"""What is done to one picture at a time leaves its traces apart."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_custody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key and an audit log for each test alone."""
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    return tmp_path / "custody"
