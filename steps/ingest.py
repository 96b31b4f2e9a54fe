"""List the photographs: hashed, without duplicates, split by identity."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
from facerecon.data.settings import Sources
from facerecon.data.sources import load_sources
from facerecon.workspace import PROJECT, state_folder
from ops.materializers.manifest import ManifestMaterializer
from steps.caching import CACHED


@step(cache_policy=CACHED, output_materializers=ManifestMaterializer)
def ingest(data: Sources, modules: list[str], fingerprint: str, code: str) -> Annotated[Manifest, "photos"]:
    """``fingerprint`` stands for the photos in the cache key: the step runs again when they may have changed.

    ``modules`` are those that register the sources' layouts.
    """
    load_sources(modules)
    from facerecon.data.ingest import ingest as ingest_photos
    from facerecon.data.splits import check_splits

    manifest = ingest_photos(data, PROJECT, state_folder() / "frames")
    check_splits(manifest.faces, data[0].splits)
    log_metadata({"code": code, "fingerprint": fingerprint, **manifest.counts()})
    return manifest
