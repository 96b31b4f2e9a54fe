"""What promotion of a landmark model decides on, face by face, so that two models can be paired."""

from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import GATE, GATE_NEW, GATE_OLD, MODEL
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.settings import Settings
from facerecon.tasks.base import Gate
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.evaluator import Measured, find_by_model, measure, measured_faces
from facerecon.tasks.landmarks.gate_settings import LandmarkPromotionSettings
from facerecon.tasks.landmarks.metrics import DEPTH, FAILURE, NME, NME_3D
from facerecon.tasks.landmarks.network import network_of


class LandmarkGate(Gate):
    """The gate's faces under every condition: those whose truth is exact, or, where there are none, by a teacher.

    Where the manifest has the face sets GATE_OLD and GATE_NEW these are measured in place of the split.
    """

    def __init__(self, manifest: Manifest, cases: LandmarkCases, settings: LandmarkPromotionSettings) -> None:
        """Raises FaceReconError if no face of the gate can be measured."""
        apart = {GATE_OLD, GATE_NEW} <= manifest.face_sets.keys()
        found = {
            name: measured_faces(manifest, cases, name, settings.max_faces)
            for name in ((GATE_NEW, GATE_OLD) if apart else (GATE,))
        }
        self._faces: dict[str, Measured] = {name: parts[0] for name, parts in found.items() if parts}
        if not self._faces:
            raise FaceReconError(
                "no face of the gate split can be measured: give more people, or raise data.splits.gate, and "
                "photographs with room about the faces"
            )
        self._cases = cases
        exact = all(faces.exact for faces in self._faces.values())
        self.rule = settings.rule(cases.presets, exact)
        self.metrics = (NME, NME_3D, FAILURE, DEPTH) if exact else (NME, NME_3D, FAILURE)
        self.identities = {
            face: str(person)
            for faces in self._faces.values()
            for face, person in zip(faces.names, faces.faces.rows["identity"], strict=True)
        }

    def measure(self, trained: TrainedModel) -> Scores:
        """The figures of a model under each condition, and over all of them."""
        find, scores = find_by_model(network_of(trained)), Scores()
        for name, faces in self._faces.items():
            scores |= measure(name, {MODEL: find}, faces, self._cases, "measuring at the gate")
        return scores


class GatePart(Settings):
    """What the gate needs."""

    promotion: LandmarkPromotionSettings


def gate(settings: GatePart, faces: Manifest, cases: LandmarkCases) -> LandmarkGate:
    """What promotion decides on."""
    return LandmarkGate(faces, cases, settings.promotion)
