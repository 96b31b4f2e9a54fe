"""A retrained model beside the champion there was and the anchor, on people whom none of both learned from."""

from collections.abc import Mapping

from facerecon.data.learned import Learned, learned_from, marks_of, unseen
from facerecon.data.manifest import Manifest
from facerecon.evaluation.comparison import Comparison, compare
from facerecon.evaluation.evaluation import Evaluation
from ops.decisions import learned_of
from ops.initial_weights import InitialWeights
from ops.people_key import people_key
from ops.registry import config_of, connect, registered_name, version_of


def comparisons(
    evaluation: Evaluation, faces: Manifest, config: str, others: Mapping[str, InitialWeights]
) -> tuple[Comparison, ...]:
    """The measured model beside each of ``others``, whose scores stand under these labels, on each face set.

    ``faces`` are those that it learned from and is measured on. Whom a version learned from is asked of the registry;
    where that is not known, nothing is compared.

    Raises:
        FaceReconError: the registry does not answer.
    """
    if not others:
        return ()
    key, client, name = people_key(), connect(), registered_name(config)
    marks = marks_of(faces, key)
    people = dict(zip(faces.faces["face"], marks["person"], strict=True))

    def learned(digest: str) -> Learned:
        version = version_of(client, name, digest)
        return Learned(key=key.id, unknown="it is gone") if version is None else learned_of(version, key)

    ours = learned_from(faces, key) | learned(evaluation.model.weights)
    made = []
    for label, weights in others.items():
        version, theirs = version_of(client, name, weights.digest), learned(weights.digest)
        other = weights.source if version is None else f"{config_of(name)}/{version.version}"
        kept = unseen(marks, (ours, theirs))
        for face_set in evaluation.all_sets:
            if why := theirs.unknown or ours.unknown:
                said = f"nobody knows whom both learned from ({why})"
                made.append(Comparison(method=label, other=other, face_set=face_set.name, obstacle=said))
            else:
                made.append(compare(evaluation, face_set.name, label, other, people, kept))
    return tuple(made)
