"""What promotion of a restoration model decides on, face by face, so that two models can be paired."""

from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.promotion import GATE, GATE_NEW, GATE_OLD, MODEL
from facerecon.evaluation.scores import Scores
from facerecon.models.trained import TrainedModel
from facerecon.randomness import unit_interval
from facerecon.settings import Settings
from facerecon.tasks.base import Gate
from facerecon.tasks.restoration.baselines import by, unchanged
from facerecon.tasks.restoration.cases import DegradedCases, enlarged
from facerecon.tasks.restoration.evaluator import gallery_of, measure, restore_by_model
from facerecon.tasks.restoration.gate_settings import FEWEST_RECOGNISED, INPUT, RestorationPromotionSettings
from facerecon.tasks.restoration.network import network_of

COMPARED = 4
"""So many faces are shown as both models make them."""


class RestorationGate(Gate):
    """The gate's faces under the deciding degradation; judges are loaded when the first model is measured.

    Where the manifest has the face sets GATE_OLD and GATE_NEW these are measured in place of the split. Whether people
    are recognised as before is asked where FEWEST_RECOGNISED of them, or more, have two photos.
    """

    def __init__(self, manifest: Manifest, cases: DegradedCases, settings: RestorationPromotionSettings) -> None:
        """Raises FaceReconError if the gate has no face."""
        apart = {GATE_OLD, GATE_NEW} <= manifest.face_sets.keys()
        sets = (GATE_NEW, GATE_OLD) if apart else (GATE,)
        found = {name: evaluation_faces(manifest, name, settings.max_faces) for name in sets}
        self._faces: dict[str, EvaluationFaces] = {name: faces for name, faces in found.items() if len(faces)}
        if not self._faces:
            raise FaceReconError("the gate split has no face: give more people, or raise data.splits.gate")
        self._cases, self._case, self._size = cases, cases.presets[0], manifest.size
        recognised = min(_people_of_two(faces) for faces in self._faces.values()) >= FEWEST_RECOGNISED
        self.rule = settings.rule(self._case, recognised)
        self.metrics = settings.metrics if recognised else settings.metrics[:-1]
        distance, _, cosine, _ = settings.metrics
        self._judges = Judges(distance, cosine)
        self.identities = {
            face: str(person)
            for faces in self._faces.values()
            for face, person in zip(faces.faces, faces.rows["identity"], strict=True)
        }

    @torch.inference_mode()
    def measure(self, trained: TrainedModel) -> Scores:
        """The figures of a model, and those of the faces as they were.

        Raises:
            FaceReconError: the weights fit no network of this code, or a judge cannot be had.
        """
        restore, scores = restore_by_model(network_of(trained)), self._input
        for name, faces in self._faces.items():
            about = (faces, self._cases, self.metrics, self._judges, "measuring at the gate")
            scores |= measure(name, {self._case: {MODEL: restore}}, *about)
        return scores

    @cached_property
    def _input(self) -> Scores:
        """The figures of the degraded faces themselves: of all models the same."""
        scores, plan = Scores(), {self._case: {INPUT: by(unchanged, self._size)}}
        for name, faces in self._faces.items():
            scores |= measure(name, plan, faces, self._cases, self.metrics, self._judges)
        return scores

    @torch.inference_mode()
    def compare(self, challenger: TrainedModel, champion: TrainedModel | None) -> dict[str, NDArray[Any]]:
        """What both make of the first faces by hash, for people to look at.

        ``original``, ``degraded``, ``challenger`` and ``champion`` uint8 [M, H, W, 3], M at most COMPARED; M is 0
        without a champion.
        """
        faces = next(iter(self._faces.values()))
        by_hash = sorted(range(len(faces)), key=lambda index: unit_interval("show", faces.faces[index]))
        chosen = [] if champion is None else by_hash[:COMPARED]
        seen = self._cases.images(self._case, faces)[chosen]
        original = faces.images[chosen]
        pictures = {"original": original, "degraded": original, "challenger": original, "champion": original}
        if champion is not None:
            pictures["degraded"] = enlarged(seen, self._size)
            for name, trained in (("challenger", challenger), ("champion", champion)):
                made = restore_by_model(network_of(trained))(self._case, (), seen).images
                pictures[name] = made.permute(0, 2, 3, 1).numpy()
        return pictures


def _people_of_two(faces: EvaluationFaces) -> int:
    _, probes = gallery_of(faces)
    return int(faces.rows["identity"].iloc[probes].nunique())


class GatePart(Settings):
    """What the gate needs."""

    promotion: RestorationPromotionSettings


def gate(settings: GatePart, faces: Manifest, cases: DegradedCases) -> RestorationGate:
    """What promotion decides on."""
    return RestorationGate(faces, cases, settings.promotion)
