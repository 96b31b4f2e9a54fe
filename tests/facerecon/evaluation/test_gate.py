"""The gate: each face's figures by their definitions, and what becomes of exact, broken and absent images."""

import numpy as np
import pytest
import torch

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation import gate as module
from facerecon.evaluation.gate import Gate, paint
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.promotion import CEILING, GateFigures, Measure, PromotionSettings
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import load_identity
from facerecon.perception.lpips import LPIPS

QUICK = PromotionSettings(lpips_backbone="alex", identity_network="sface")


@pytest.fixture(scope="module")
def gate(tiny_manifest: Manifest, tiny_masks: MaskSet) -> Gate:
    return Gate(tiny_manifest, tiny_masks, QUICK)


@pytest.fixture(scope="module")
def measured(gate: Gate, tiny_model: TrainedModel) -> GateFigures:
    return gate.measure(tiny_model)


def changed(trained: TrainedModel, seed: int) -> TrainedModel:
    """A network of the same shape with other weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = dict(build_model(trained.family, trained.options).state_dict())
    return TrainedModel(trained.family, trained.options, trained.size, 1, weights)


def test_every_family_and_level_has_hole_psnr_and_brush_the_judges_too(measured, tiny_masks):
    expected = {Measure(family, level, "hole_psnr") for level, family in tiny_masks.masks}
    expected |= {Measure("brush", level, metric) for level in (1, 2, 3) for metric in ("lpips", "identity")}
    assert set(measured.values) == expected
    assert {values.shape for values in measured.values.values()} == {(2,)}
    assert len(measured.identities) == 2


def test_figures_are_each_faces_by_their_definition(measured, gate, tiny_model, tiny_manifest, tiny_masks):
    faces = evaluation_faces(tiny_manifest, "gate", 10)
    assert measured.identities == tuple(faces.rows["identity"])
    lpips, identity, points = LPIPS("alex"), load_identity("sface"), faces.points5()
    for index, (image, sha) in enumerate(zip(faces.images, faces.sha256s, strict=True)):
        for family in ("brush", "held_out"):
            mask = tiny_masks.for_face(sha, 2, family)
            seen = from_uint8(image[None])
            painted, _ = paint(tiny_model.build(), seen, torch.from_numpy(mask)[None, None].float())
            shown = painted[0].permute(1, 2, 0).numpy().astype(float)
            error = np.mean((shown[mask == 1] - image[mask == 1]) ** 2)
            psnr = 10 * np.log10(255**2 / error)
            assert measured.values[Measure(family, 2, "hole_psnr")][index] == pytest.approx(psnr, abs=1e-2)
            if family == "brush":
                again = painted.float() / 127.5 - 1
                distance = lpips(again, seen).item()
                cosine = (identity(again, points[[index]]) * identity(seen, points[[index]])).sum().item()
                assert measured.values[Measure(family, 2, "lpips")][index] == pytest.approx(distance, abs=1e-4)
                assert measured.values[Measure(family, 2, "identity")][index] == pytest.approx(cosine, abs=1e-4)


def test_scores_are_means_over_faces_and_primary_over_levels(measured):
    scores = measured.scores()
    assert list(scores) == sorted(scores)
    values = [measured.values[Measure("brush", level, "hole_psnr")] for level in (1, 2, 3)]
    assert scores["brush/level_2"]["hole_psnr"] == pytest.approx(values[1].mean())
    assert set(scores["held_out/level_2"]) == {"hole_psnr"}
    assert measured.primary("hole_psnr") == pytest.approx((values[0] + values[1] + values[2]) / 3)
    broken = GateFigures(("a",), {Measure("brush", 1, "lpips"): np.array([np.nan])})
    assert broken.scores() == {"brush/level_1": {"lpips": None}}


def test_batches_do_not_change_figures(monkeypatch, measured, gate, tiny_model):
    monkeypatch.setattr(module, "BATCH", 1)
    for what, values in gate.measure(tiny_model).values.items():
        assert values == pytest.approx(measured.values[what], abs=1e-3), what


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

        return Output


def test_an_exact_hole_counts_as_much_as_rounding_lets_one_see(gate, tiny_model, monkeypatch):
    monkeypatch.setattr(TrainedModel, "build", lambda _: Perfect(from_uint8(gate.faces.images)))
    figures = gate.measure(tiny_model)
    assert pytest.approx(58.92, abs=0.01) == CEILING
    for what, values in figures.values.items():
        wanted = {"hole_psnr": CEILING, "lpips": 0.0, "identity": 1.0}[what.metric]
        assert values == pytest.approx([wanted, wanted], abs=1e-4)


def test_an_image_that_is_not_finite_has_no_figure_and_spoils_no_other(gate, tiny_model, monkeypatch):
    monkeypatch.setattr(TrainedModel, "build", lambda _: Perfect(from_uint8(gate.faces.images), broken=(1,)))
    for values in gate.measure(tiny_model).values.values():
        assert np.isfinite(values).tolist() == [True, False]


def test_the_comparison_shows_what_both_made_of_the_same_holes(gate, tiny_model):
    other = changed(tiny_model, 5)
    shown = gate.compare(tiny_model, other)
    assert shown["level"].tolist() == [1, 2]
    for name in ("original", "challenger", "champion"):
        assert shown[name].shape == (2, 64, 64, 3)
        assert shown[name].dtype == np.uint8
    known = shown["mask"] == 0
    for name in ("challenger", "champion"):
        assert (shown[name][known] == shown["original"][known]).all()
    shas = {image.tobytes(): sha for image, sha in zip(gate.faces.images, gate.faces.sha256s, strict=True)}
    for level, image, mask in zip(shown["level"], shown["original"], shown["mask"], strict=True):
        assert (mask == gate.masks.for_face(shas[image.tobytes()], int(level), "brush")).all()
    hole = shown["mask"] == 1
    assert hole.any(axis=(1, 2)).all()
    assert (shown["challenger"][hole] != shown["champion"][hole]).any()
    swapped = gate.compare(other, tiny_model)
    assert (swapped["champion"] == shown["challenger"]).all()
    assert gate.compare(tiny_model, other, most=1)["level"].tolist() == [1]


def test_without_a_champion_there_is_nothing_to_compare(gate, tiny_model):
    shown = gate.compare(tiny_model, None)
    assert {len(values) for values in shown.values()} == {0}
    assert shown["original"].shape[1:] == (64, 64, 3)
    assert shown["mask"].shape[1:] == (64, 64)


def test_at_most_so_many_faces(tiny_manifest, tiny_masks):
    assert len(Gate(tiny_manifest, tiny_masks, QUICK.model_copy(update={"max_faces": 1})).faces) == 1


def test_no_face_at_the_gate_is_an_error(tiny_manifest, tiny_masks):
    without = Manifest(
        "", tiny_manifest.faces[tiny_manifest.faces["split"] != "gate"], store=tiny_manifest.store, size=64
    )
    with pytest.raises(FaceReconError, match=r"the gate split has no face: .*data\.splits\.gate"):
        Gate(without, tiny_masks, QUICK)
