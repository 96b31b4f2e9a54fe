"""Freeze whom the gate and the report compare over the years, and put what is collected under DVC."""

from typing import Annotated

from zenml import log_metadata, step

from facerecon.data.manifest import Manifest
from ops.materializers.manifest import ManifestMaterializer


@step(enable_cache=False, output_materializers={"divided": ManifestMaterializer})
def freeze_sets(faces: Manifest) -> tuple[Annotated[Manifest, "divided"], Annotated[dict[str, str], "about"]]:
    """The manifest with the face sets old and new of gate and test.

    ``about`` are tags of the run: the digest that DVC has of the folder, and the numbers of the frozen sets.
    """
    from ops.collecting import freeze

    divided, about = freeze(faces)
    log_metadata({**about, **{name: len(members) for name, members in divided.face_sets.items()}})
    return divided, about
