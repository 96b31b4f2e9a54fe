"""Data Docs as an artifact: what was stored comes back, and its hash follows its content."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType, VisualizationType

from facerecon.data.validation.outcomes import DataDocs, Outcome
from ops.materializers.data_docs import DataDocsMaterializer

DOCS = DataDocs(
    [
        Outcome("faces", "expect_it(yaw)", True, "0 of 12 values", []),
        Outcome("splits", "expect_it(identities)", False, "1 of 4 values such as 5", ["välue"], "warn"),
    ],
    {"index.html": "<p>ü</p>", "faces.html": "<p>1</p>", "faces-suite.html": "<p>2</p>"},
)


@pytest.fixture
def materializer(tmp_path: Path) -> DataDocsMaterializer:
    now = datetime.now(UTC)
    store = LocalArtifactStore(
        name="store",
        id=uuid4(),
        config=LocalArtifactStoreConfig(path=str(tmp_path)),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=None,
        created=now,
        updated=now,
    )
    (tmp_path / "docs").mkdir()
    return DataDocsMaterializer(str(tmp_path / "docs"), store)


def test_what_was_stored_comes_back(materializer: DataDocsMaterializer) -> None:
    materializer.save(DOCS)
    assert materializer.load(DataDocs) == DOCS
    assert materializer.extract_metadata(DOCS) == {"expectations": 2, "warnings": 1}


def test_what_was_seen_is_shown_and_what_leads_nowhere_is_not(materializer: DataDocsMaterializer) -> None:
    materializer.save(DOCS)
    shown = materializer.save_visualizations(DOCS)
    assert shown == {f"{materializer.uri}/faces.html": VisualizationType.HTML}
    assert all(Path(path).is_file() for path in shown)


def test_the_hash_follows_pages_and_outcomes(materializer: DataDocsMaterializer) -> None:
    hashes = {
        materializer.compute_content_hash(docs)
        for docs in (DOCS, DataDocs(DOCS.outcomes, DOCS.pages | {"faces.html": "x"}), DataDocs([], DOCS.pages))
    }
    assert len(hashes) == 3
    assert materializer.compute_content_hash(DataDocs(list(DOCS.outcomes), dict(DOCS.pages))) in hashes
