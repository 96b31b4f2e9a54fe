"""List the photographs: hashed, without duplicates, split by identity."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.account import as_rows
from facerecon.data.manifest import Manifest
from facerecon.data.settings import Sources
from facerecon.data.sources import SOURCES, load_sources
from facerecon.workspace import PROJECT, state_folder
from ops.materializers.manifest import ManifestMaterializer
from steps.caching import CACHED


@step(cache_policy=CACHED, output_materializers={"photos": ManifestMaterializer})
def ingest(
    data: Sources, modules: list[str], fingerprint: str, code: str
) -> tuple[Annotated[Manifest, "photos"], Annotated[list[dict[str, Any]], "passed_over"]]:
    """``fingerprint`` stands for the photos in the cache key: the step runs again when they may have changed.

    ``modules`` are those that register the sources' layouts. Files that are no photos are counted apart: they are not
    part of what the manifest is known by.
    """
    load_sources(modules)
    from facerecon.data.ingest import ingest as ingest_photos
    from facerecon.data.splits import check_names, check_splits

    manifest = ingest_photos(data, PROJECT, state_folder() / "frames")
    check_names(manifest.faces, data[0].splits)
    if all(SOURCES[source.source].pictures for source in data):
        # of footage many faces are not cut out: what then is left, and who, is told together, by `validate`
        check_splits(manifest.faces, data[0].splits)
    log_metadata({"code": code, "fingerprint": fingerprint, **manifest.counts()})
    return manifest, as_rows(manifest.passed_over)
