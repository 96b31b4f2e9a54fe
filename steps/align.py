"""Cut the faces out of the photographs."""

from typing import Annotated

from zenml import step

from facerecon.data.alignment import AlignmentSettings
from facerecon.data.manifest import Manifest
from facerecon.data.sources import load_sources
from facerecon.workspace import state_folder
from ops.materializers.manifest import ManifestMaterializer


@step(enable_cache=False, output_materializers=ManifestMaterializer)
def align(photos: Manifest, alignment: AlignmentSettings, modules: list[str]) -> Annotated[Manifest, "faces"]:
    """The faces' crops; what was cut before comes from the store, which ZenML's cache would not see damaged.

    ``modules`` are those that register the sources' layouts.
    """
    load_sources(modules)
    from facerecon.data.alignment import align as align_faces
    from facerecon.weights import weights_path

    return align_faces(photos, alignment, weights_path("face_landmarker"), state_folder() / "crops")
