"""The gate: each face's figures by their definitions, and what becomes of exact, broken and absent images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.scores import Scores
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.tasks.inpainting import evaluator
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import fill_by_model
from facerecon.tasks.inpainting.gate import GatePart, InpaintingGate, gate
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings

QUICK = InpaintingPromotionSettings(lpips_backbone="alex", identity_network="sface")


def make_gate(manifest: Manifest, masks: MaskSet, **changed: int) -> InpaintingGate:
    return gate(GatePart(promotion=QUICK.model_copy(update=changed)), manifest, MaskCases(masks))


@pytest.fixture(scope="module")
def blobs_gate(tiny_manifest: Manifest, tiny_masks: MaskSet) -> InpaintingGate:
    return make_gate(tiny_manifest, tiny_masks)


@pytest.fixture(scope="module")
def measured(blobs_gate: InpaintingGate, tiny_model: TrainedModel) -> Scores:
    return blobs_gate.measure(tiny_model)


@pytest.fixture(scope="module")
def images(tiny_manifest: Manifest) -> np.ndarray:
    """The gate's faces."""
    return evaluation_faces(tiny_manifest, "gate", 10).images


def changed(trained: TrainedModel, seed: int) -> TrainedModel:
    """A network of the same shape with other weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = dict(build_model(trained.family, trained.options).state_dict())
    return TrainedModel(trained.family, trained.options, trained.size, 1, weights)


def test_every_family_and_level_has_hole_psnr_and_brush_the_judges_too(measured, blobs_gate, tiny_masks, tiny_manifest):
    expected = {MetricKey("gate", "hole_psnr", family, level) for level, family in tiny_masks.masks}
    judged = [metric.name for metric in blobs_gate.metrics[1:]]
    assert judged == ["lpips_alex", "identity_sface"]
    expected |= {MetricKey("gate", metric, "brush", level) for level in (1, 2, 3) for metric in judged}
    assert set(measured.keys) == expected
    faces = evaluation_faces(tiny_manifest, "gate", 10)
    assert {measured.faces(*column) for column in measured} == {faces.faces}
    assert blobs_gate.identities == dict(zip(faces.faces, faces.rows["identity"], strict=True))


def test_figures_are_each_faces_by_their_definition(measured, tiny_model, tiny_manifest, tiny_masks):
    faces = evaluation_faces(tiny_manifest, "gate", 10)
    lpips, identity, points = LPIPS("alex"), load_identity("sface"), faces.points5()
    for index, (image, sha) in enumerate(zip(faces.images, faces.sha256s, strict=True)):
        for family in ("brush", "held_out"):
            mask = tiny_masks.for_face(sha, 2, family)
            seen = from_uint8(image[None])
            painted = fill_by_model(tiny_model.build())(image[None], mask[None]).images
            shown = painted[0].permute(1, 2, 0).numpy().astype(float)
            error = np.mean((shown[mask == 1] - image[mask == 1]) ** 2)
            expected = {"hole_psnr": 10 * np.log10(255**2 / error)}
            if family == "brush":
                again = painted.float() / 127.5 - 1
                expected["lpips_alex"] = lpips(again, seen).item()
                people = [identity(each, points[[index]]) for each in (again, seen)]
                expected["identity_sface"] = (people[0] * people[1]).sum().item()
            for metric, value in expected.items():
                found = measured.values(MetricKey("gate", metric, family, 2), "model")[index]
                assert found == pytest.approx(value, abs=1e-4)


def test_batches_do_not_change_figures(monkeypatch, measured, blobs_gate, tiny_model):
    monkeypatch.setattr(evaluator, "BATCH", 1)
    again = blobs_gate.measure(tiny_model)
    assert list(again) == list(measured)
    for column in measured:
        assert again.values(*column) == pytest.approx(measured.values(*column), abs=1e-3), column


class Perfect(torch.nn.Module):
    """Paints as it likes: the image itself, or NaN for the faces that are ``broken``."""

    def __init__(self, images: torch.Tensor, broken: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.images, self.broken = images, broken

    def forward(self, image: torch.Tensor, mask: torch.Tensor):
        painted = self.images.clone()
        for index in self.broken:
            painted[index, 0, 5, 5] = torch.nan

        class Output:
            reconstruction = painted
            confidence_logits = None

        return Output


def test_an_exact_hole_counts_as_much_as_rounding_lets_one_see(blobs_gate, tiny_model, images, monkeypatch):
    monkeypatch.setattr(TrainedModel, "build", lambda _: Perfect(from_uint8(images)))
    scores = blobs_gate.measure(tiny_model)
    assert pytest.approx(58.92, abs=0.01) == CEILING
    for key, method in scores:
        best = {"hole_psnr": CEILING, "lpips_alex": 0.0, "identity_sface": 1.0}[key.metric]
        assert scores.values(key, method) == pytest.approx([best, best], abs=1e-4)


def test_an_image_that_is_not_finite_has_no_figure_and_spoils_no_other(blobs_gate, tiny_model, images, monkeypatch):
    monkeypatch.setattr(TrainedModel, "build", lambda _: Perfect(from_uint8(images), broken=(1,)))
    scores = blobs_gate.measure(tiny_model)
    for column in scores:
        assert np.isfinite(scores.values(*column)).tolist() == [True, False]


def test_the_comparison_shows_what_both_made_of_the_same_holes(blobs_gate, tiny_model, tiny_manifest, tiny_masks):
    other = changed(tiny_model, 5)
    shown = blobs_gate.compare(tiny_model, other)
    assert shown["level"].tolist() == [1, 2]
    for name in ("original", "challenger", "champion"):
        assert shown[name].shape == (2, 64, 64, 3)
        assert shown[name].dtype == np.uint8
    known = shown["mask"] == 0
    for name in ("challenger", "champion"):
        assert (shown[name][known] == shown["original"][known]).all()
    faces = evaluation_faces(tiny_manifest, "gate", 10)
    shas = {image.tobytes(): sha for image, sha in zip(faces.images, faces.sha256s, strict=True)}
    for level, image, mask in zip(shown["level"], shown["original"], shown["mask"], strict=True):
        assert (mask == tiny_masks.for_face(shas[image.tobytes()], int(level), "brush")).all()
    hole = shown["mask"] == 1
    assert hole.any(axis=(1, 2)).all()
    assert (shown["challenger"][hole] != shown["champion"][hole]).any()
    swapped = blobs_gate.compare(other, tiny_model)
    assert (swapped["champion"] == shown["challenger"]).all()


def test_without_a_champion_there_is_nothing_to_compare(blobs_gate, tiny_model):
    shown = blobs_gate.compare(tiny_model, None)
    assert {len(values) for values in shown.values()} == {0}
    assert shown["original"].shape[1:] == (64, 64, 3)
    assert shown["mask"].shape[1:] == (64, 64)


def test_old_and_new_faces_are_measured_apart_with_telea_beside_them(measured, tiny_manifest, tiny_masks, tiny_model):
    old, new = evaluation_faces(tiny_manifest, "gate", 10).faces
    manifest = replace(tiny_manifest, face_sets={"gate_old": (old,), "gate_new": (new,)})
    apart = make_gate(manifest, tiny_masks)
    scores = apart.measure(tiny_model)
    assert {key.face_set for key in scores.keys} == {"gate_old", "gate_new"}
    for key, method in measured:
        for index, face_set in enumerate(("gate_old", "gate_new")):
            found = scores.values(MetricKey(face_set, key.metric, key.case, key.level), method)
            assert found == pytest.approx(measured.values(key, method)[[index]], abs=1e-3)
    beside = {key for key, method in scores if method == "telea"}
    assert beside == {MetricKey(name, "hole_psnr", "brush", n) for name in ("gate_old", "gate_new") for n in (1, 2, 3)}
    assert apart.identities.keys() == {old, new}
    assert len(apart.compare(tiny_model, tiny_model)["level"]) == 1
    nobody_new = make_gate(replace(manifest, face_sets={"gate_old": (old,), "gate_new": ()}), tiny_masks)
    assert {key.face_set for key in nobody_new.measure(tiny_model).keys} == {"gate_old"}


def test_at_most_so_many_faces(tiny_manifest, tiny_masks):
    assert len(make_gate(tiny_manifest, tiny_masks, max_faces=1).identities) == 1


def test_no_face_at_the_gate_is_an_error(tiny_manifest, tiny_masks):
    without = Manifest(tiny_manifest.faces[tiny_manifest.faces["split"] != "gate"], store=tiny_manifest.store, size=64)
    with pytest.raises(FaceReconError, match=r"the gate split has no face: .*data\.splits\.gate"):
        make_gate(without, tiny_masks)
