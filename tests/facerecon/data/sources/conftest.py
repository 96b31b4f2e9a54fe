"""What the tests of sources share: a context, photographs of faces, and a run from the source to aligned faces."""

from collections.abc import Callable
from pathlib import Path

import pytest

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SourceContext


@pytest.fixture
def context(tmp_path_factory: pytest.TempPathFactory) -> SourceContext:
    """Default settings and an empty folder."""
    return SourceContext(DataSettings(), tmp_path_factory.mktemp("context"))


@pytest.fixture
def photographs(sample_faces: Path) -> list[Path]:
    """Sixteen photographs of 256 px, each of one drawn face. Do not write to them."""
    return sorted(sample_faces.rglob("*.png")) + sorted(sample_faces.rglob("*.jpg"))


Ingest = Callable[..., Manifest]


@pytest.fixture
def ingested(context: SourceContext, tmp_path: Path) -> Ingest:
    """``ingested(source)`` lists what lies under ``tmp_path`` as that source does."""

    def run(source: str, **options: object) -> Manifest:
        return ingest(DataSettings(path=str(tmp_path), source=source, **options), tmp_path, context.folder)

    return run


@pytest.fixture
def cut_out(landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Manifest], Manifest]:
    """``cut_out(manifest)`` aligns the faces of a manifest at 64 px."""

    def run(manifest: Manifest) -> Manifest:
        return align(manifest, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))

    return run


@pytest.fixture
def reasons() -> Callable[[Manifest], dict[str, str]]:
    """The quarantine list as a dictionary from uri to reason."""
    return lambda manifest: dict(zip(manifest.quarantine["uri"], manifest.quarantine["reason"], strict=True))


@pytest.fixture
def codes() -> Callable[[Manifest], dict[str, str]]:
    """The quarantine list as a dictionary from uri to code."""
    return lambda manifest: dict(zip(manifest.quarantine["uri"], manifest.quarantine["code"], strict=True))
