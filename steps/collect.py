"""Take in the clips that are new in the inbox."""

from typing import Annotated, Any

from zenml import log_metadata, step

from facerecon.data.collected.collection import Collection
from facerecon.data.collected.inbox import InboxSettings
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.manifest import Manifest


@step(enable_cache=False)
def collect(
    old_faces: Manifest, inbox: InboxSettings, settings: CollectSettings
) -> tuple[Annotated[Collection, "collection"], Annotated[str, "fingerprint"]]:
    """What came of the new clips, and a digest of all faces that there are, for the cache key of ``ingest``.

    ``old_faces`` are the aligned faces of the photographs, whose people may be seen in clips.
    """
    from ops.collecting import collect_new

    collection, fingerprint = collect_new(old_faces, inbox, settings)
    # ZenML keeps it for ever: it counts clips and names none
    plain = collection.model_dump(mode="json", exclude={"digests"})
    told: dict[str, Any] = {name: len(value) if isinstance(value, list) else value for name, value in plain.items()}
    log_metadata({name: value for name, value in told.items() if value} | {"fingerprint": fingerprint})
    return collection, fingerprint
