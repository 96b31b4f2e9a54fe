"""The faces whose figures are reported."""

from collections.abc import Sequence

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import TEST, TEST_NEW, TEST_OLD, FaceSet

Sets = Sequence[tuple[str, EvaluationFaces]]
"""Face sets by name, none empty, the headline's first."""


def reported_names(manifest: Manifest) -> tuple[str, ...]:
    """TEST_OLD and TEST_NEW where the manifest has them, else the test split."""
    return (TEST_OLD, TEST_NEW) if {TEST_OLD, TEST_NEW} <= manifest.face_sets.keys() else (TEST,)


def reported_sets(manifest: Manifest, most: int) -> Sets:
    """The sets of these names, at most so many faces of each.

    Raises:
        FaceReconError: none has a face.
    """
    measured = [(name, evaluation_faces(manifest, name, most)) for name in reported_names(manifest)]
    if not (sets := [(name, faces) for name, faces in measured if len(faces)]):
        raise FaceReconError("the test split has no face: give more people, or raise data.splits.test")
    return sets


def described(sets: Sets) -> tuple[FaceSet, ...]:
    """What an evaluation says of its sets; nothing of the test split as a whole."""
    return tuple(
        FaceSet(name=name, faces=len(faces), identities=int(faces.rows["identity"].nunique()))
        for name, faces in sets
        if name != TEST
    )
