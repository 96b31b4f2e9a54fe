"""Stop the pipeline unless the data fulfils what the suites ask of it."""

from dataclasses import replace
from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.account import as_rows, from_rows
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.data.validation.outcomes import DataDocs
from facerecon.data.validation.settings import ValidationSettings
from facerecon.workspace import refused_docs_folder
from ops.materializers.data_docs import DataDocsMaterializer
from ops.materializers.manifest import ManifestMaterializer
from steps.caching import CACHED


@step(
    cache_policy=CACHED,
    output_materializers={"valid_faces": ManifestMaterializer, "data_docs": DataDocsMaterializer},
)
def validate(
    faces: Manifest,
    passed_over: list[dict[str, Any]],
    validation: ValidationSettings,
    code: str,
    shares: SplitShares | None = None,
) -> tuple[
    Annotated[Manifest, "valid_faces"], Annotated[DataDocs, "data_docs"], Annotated[list[dict[str, Any]], "account"]
]:
    """The manifest without near-duplicates, what was seen, what became of every file, once nothing stops the run.

    ``passed_over`` counts the files that are no photos; ``validation`` holds what stands in the file of suites, which
    thereby is part of the cache key. With ``shares`` each split must have somebody.
    """
    from facerecon.data.validation.check import validate as validate_manifest

    listed = replace(faces, passed_over=from_rows(passed_over))
    result = validate_manifest(listed, validation, refused_docs_folder(), shares)
    met = sum(outcome.success for outcome in result.docs.outcomes)
    log_metadata(
        {
            "code": code,
            "expectations met": met,
            "warnings": [warning.said for warning in result.docs.warnings],
            "near-duplicates quarantined": len(result.manifest.quarantine) - len(faces.quarantine),
        }
    )
    return result.manifest, result.docs, as_rows(result.manifest.account)
