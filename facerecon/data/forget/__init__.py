"""Forgetting a person: what a clone's data hold of them, and taking it out of there.

Nothing here knows of an orchestrator: ``ops.forget`` adds what ZenML, MLflow and DVC keep.
"""

from facerecon.data.forget.kept import remove_crops, remove_extracted, remove_frames
from facerecon.data.forget.places import shown_path
from facerecon.data.forget.removal import clips_left, files_of, remove_photos
from facerecon.data.forget.trace import COLLECTED, Root, Target, Trace
from facerecon.data.forget.traces import facts_of, traces_of

__all__ = [
    "COLLECTED",
    "Root",
    "Target",
    "Trace",
    "clips_left",
    "facts_of",
    "files_of",
    "remove_crops",
    "remove_extracted",
    "remove_frames",
    "remove_photos",
    "shown_path",
    "traces_of",
]
