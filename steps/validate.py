"""Stop the pipeline unless the data fulfils what the suites ask of it."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
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
    faces: Manifest, validation: ValidationSettings, code: str
) -> tuple[Annotated[Manifest, "valid_faces"], Annotated[DataDocs, "data_docs"]]:
    """The manifest without near-duplicates, once nothing is wrong that must stop the run, and what was seen.

    ``validation`` holds what stands in the file of suites, which thereby is part of the cache key.
    """
    from facerecon.data.validation.check import validate as validate_manifest

    result = validate_manifest(faces, validation, refused_docs_folder())
    met = sum(outcome.success for outcome in result.docs.outcomes)
    log_metadata(
        {
            "code": code,
            "expectations met": met,
            "warnings": [warning.said for warning in result.docs.warnings],
            "near-duplicates quarantined": len(result.manifest.quarantine) - len(faces.quarantine),
        }
    )
    return result.manifest, result.docs
