"""Stop the pipeline unless the data fulfils what Great Expectations asks of it."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.config.validation import ValidationSettings
from facerecon.data.manifest import Manifest
from facerecon.data.validation import validate as validate_manifest
from ops.materializers.manifest import ManifestMaterializer
from steps.caching import cache_of


@step(cache_policy=cache_of(__name__), output_materializers=ManifestMaterializer)
def validate(faces: Manifest, validation: ValidationSettings) -> Annotated[Manifest, "valid_faces"]:
    """The same manifest, once every expectation is met."""
    outcomes = validate_manifest(faces, validation)
    log_metadata({"expectations met": len(outcomes)})
    return faces
