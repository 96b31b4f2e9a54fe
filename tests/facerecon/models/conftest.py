"""A place for families that a test adds."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerecon import models


@pytest.fixture
def package(tmp_path: Path, registry: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are modules of facerecon.models, too, until the test ends."""
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    yield tmp_path
    for name in (f"{models.__name__}.{file.stem}" for file in tmp_path.glob("*.py")):
        sys.modules.pop(name, None)
