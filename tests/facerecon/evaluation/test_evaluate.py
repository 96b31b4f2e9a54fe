"""The evaluation: the whole table, each figure by its definition, every face under its own masks, and what is shown."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.evaluate import METHODS, Evaluation, evaluate
from facerecon.evaluation.measuring import METRICS, cases_of, reconstruct
from scipy.stats import spearmanr

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FEATURE_PARTS, draw_feature_mask
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.parts import PART_LABELS
from facerecon.data.store import AlignedPhoto, FaceStore
from facerecon.errors import FaceReconError
from facerecon.evaluation import evaluate as module
from facerecon.evaluation import measuring
from facerecon.evaluation.metrics import from_uint8, hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import load_identity
from facerecon.perception.lpips import LPIPS

QUICK = EvaluationSettings(max_faces=2, lpips_backbone="alex", samples=5)
Evaluate = Callable[..., Evaluation]


def find_row(figures: dict[str, Any], method: str, family: str, level: int | None) -> dict[str, Any]:
    """The table's only row for a method under one family and level."""
    wanted = (method, family, level)
    [row] = [row for row in figures["table"] if (row["method"], row["family"], row["level"]) == wanted]
    return row


@pytest.fixture(scope="module")
def one_kind(tiny_masks: MaskSet) -> MaskSet:
    """Brush, level 2, alone."""
    return MaskSet(tiny_masks.size, {(2, "brush"): tiny_masks.masks[2, "brush"]}, tiny_masks.folder)


@pytest.fixture(scope="module")
def run(tiny_model: TrainedModel, tiny_manifest: Manifest, one_kind: MaskSet) -> Evaluate:
    """``run(...)`` evaluates the tiny model on two blobs under one kind of mask, or as said."""

    def evaluate_blobs(
        settings: EvaluationSettings = QUICK,
        *,
        model: TrainedModel = tiny_model,
        manifest: Manifest = tiny_manifest,
        masks: MaskSet = one_kind,
        features: bool = False,
        taught_by: tuple[str, ...] = ("lpips_alex", "sface"),
    ) -> Evaluation:
        return evaluate(model, manifest, masks, settings, features, taught_by)

    return evaluate_blobs


@pytest.fixture(scope="module")
def small(run: Evaluate) -> Evaluation:
    """Two faces, one kind of mask."""
    return run()


@pytest.fixture(scope="module")
def other_model() -> TrainedModel:
    """A network of other weights than the tiny one."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = build_model("unet_attention", {"features": [8, 4]})
    return TrainedModel("unet_attention", {"features": [8, 4]}, 64, 9, dict(model.state_dict()))


def without(rows: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] != method]


def manifest_without(manifest: Manifest, split: str) -> Manifest:
    return Manifest(root="", faces=manifest.faces[manifest.faces["split"] != split], store=manifest.store, size=64)


# ------------------------------------------------------------------------------------------------------------- table


def test_the_table_has_every_method_under_every_kind(
    run: Evaluate, tiny_masks: MaskSet, tiny_manifest: Manifest
) -> None:
    """With VGG as the judge, as configured by default, on all faces of the test split."""
    result = run(EvaluationSettings(), masks=tiny_masks, features=True)
    kinds = [(family, level) for family in ("brush", "held_out") for level in (1, 2, 3)]
    kinds += [(f"features/{part}", None) for part in FEATURE_PARTS]
    rows = result.figures["table"]
    assert [(row["family"], row["level"], row["method"]) for row in rows] == [
        (*kind, method) for kind in kinds for method in (*METHODS, "masked_input")
    ]
    for row in rows:
        measured = ("identity",) if row["method"] == "masked_input" else METRICS
        assert row.keys() == {"method", "family", "level", "hole_ratio", *measured}
        assert all(row[metric]["n"] == 3 for metric in measured), "every face counts"
        assert -1 <= row["identity"]["mean"] <= 1.0001
    ratios = {(row["family"], row["level"]): row["hole_ratio"] for row in rows}
    assert all(0.09 <= ratios[family, 1] <= 0.31 for family in ("brush", "held_out"))
    assert all(0.49 <= ratios[family, 3] <= 0.71 for family in ("brush", "held_out"))
    assert result.figures["split"] == {"name": "test", "faces": 3, "identities": 3}
    assert result.figures["judges"] == {
        "lpips": {"network": "lpips_vgg", "in_loss": False},
        "identity": {"network": "dlib", "in_loss": False, "same_person": 0.909},
    }
    assert result.figures["masks"] == tiny_masks.digest
    assert result.figures["data"] == tiny_manifest.digest
    assert json.loads(json.dumps(result.figures, allow_nan=False)) == result.figures


def test_model_is_described(small: Evaluation, tiny_model: TrainedModel) -> None:
    about = {"family": "unet_attention", "size": 64, "step": 1, "weights": tiny_model.digest}
    assert small.figures["model"] == {**about, "attention": ["1/2", "1/1"]}


@pytest.mark.parametrize(
    ("taught_by", "lpips", "identity"),
    [((), False, False), (("lpips_alex",), True, False), (("sface", "lpips_vgg"), False, True)],
)
def test_a_judge_that_was_a_teacher_is_marked(
    run: Evaluate, small: Evaluation, taught_by: tuple[str, ...], lpips: bool, identity: bool
) -> None:
    settings = EvaluationSettings(max_faces=1, lpips_backbone="alex", identity_network="sface")
    result = run(settings, taught_by=taught_by)
    assert result.figures["judges"] == {
        "lpips": {"network": "lpips_alex", "in_loss": lpips},
        "identity": {"network": "sface", "in_loss": identity, "same_person": 0.363},
    }
    assert small.figures["judges"]["lpips"]["in_loss"] is True


def test_figures_are_those_of_composites_by_their_definitions(
    small: Evaluation, tiny_model: TrainedModel, tiny_manifest: Manifest, one_kind: MaskSet
) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 2)
    masks = np.stack([one_kind.for_face(sha, 2, "brush") for sha in faces.sha256s])
    mask, truth = torch.from_numpy(masks)[:, None].float(), from_uint8(faces.images)
    with torch.no_grad():
        painted = tiny_model.build()(truth, mask).prediction
    telea, mean = (from_uint8(BASELINES[name](faces.images, masks)) for name in ("telea", "mean_fill"))
    lpips, identity = LPIPS("alex"), load_identity("dlib")
    with torch.no_grad():
        people = identity.embed(truth, faces.points5())
        for method, images in (
            ("model", torch.where(mask == 1, painted, truth)),
            ("telea", telea),
            ("mean_fill", mean),
            ("masked_input", torch.where(mask == 1, torch.tensor(128 / 127.5 - 1), truth)),
        ):
            row, saved = find_row(small.figures, method, "brush", 2), to_uint8(images)
            seen = saved.float() / 127.5 - 1
            cosine = (identity.embed(seen, faces.points5()) * people).sum(1)
            assert row["identity"]["mean"] == pytest.approx(cosine.mean().item(), abs=1e-4)
            if method == "masked_input":
                continue
            for metric, values in (
                ("whole_psnr", whole_psnr(saved, to_uint8(truth))),
                ("hole_psnr", hole_psnr(saved, to_uint8(truth), mask)),
                ("ssim", ssim(saved, to_uint8(truth))),
                ("lpips", lpips(seen, truth)),
            ):
                assert row[metric]["mean"] == pytest.approx(values.mean().item(), rel=1e-4), (method, metric)
                assert row[metric]["std"] == pytest.approx(values.std(correction=0).item(), rel=1e-2, abs=1e-5)
    assert row["hole_ratio"] == pytest.approx(masks.mean())


def test_the_same_evaluation_gives_the_same_figures(run: Evaluate, small: Evaluation) -> None:
    again = run()
    assert again.figures == small.figures
    assert all(np.array_equal(again.samples[name], small.samples[name]) for name in small.samples)


def test_baselines_do_not_depend_on_the_model(run: Evaluate, small: Evaluation, other_model: TrainedModel) -> None:
    other = run(model=other_model).figures["table"]
    assert without(other, "model") == without(small.figures["table"], "model")
    assert other[0] != small.figures["table"][0]


def test_figures_do_not_depend_on_how_faces_are_batched(
    run: Evaluate, tiny_masks: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = MaskSet(64, {key: tiny_masks.masks[key] for key in ((1, "brush"), (3, "held_out"))}, tiny_masks.folder)
    settings = EvaluationSettings(max_faces=3, lpips_backbone="alex", samples=1)
    together = run(settings, masks=masks).figures["table"]
    monkeypatch.setattr(measuring, "BATCH", 2)
    apart = run(settings, masks=masks).figures["table"]
    assert len(apart) == len(together)
    for row, other in zip(apart, together, strict=True):
        for name in METRICS:
            if name in row:
                assert row[name] == pytest.approx(other[name], rel=1e-4)


def test_a_face_keeps_its_masks_whoever_else_is_evaluated(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    many, few = (evaluation_faces(tiny_manifest, "train", most) for most in (8, 3))
    assert 3 == len(few) < len(many)
    of_many = cases_of(many, tiny_masks, features=True)
    for case, other in zip(cases_of(few, tiny_masks, features=True), of_many, strict=True):
        assert case.name == other.name
        for mask, sha in zip(case.masks, few.sha256s, strict=True):
            assert np.array_equal(mask, other.masks[many.sha256s.index(sha)])


def test_only_people_of_the_test_split_are_read(
    run: Evaluate, small: Evaluation, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    others = pd.concat([tiny_manifest.split(split) for split in ("train", "val", "gate")])
    assert FaceStore.remove(store, set(others["sha256"])) == len(others) == 13
    manifest = Manifest(root="", faces=tiny_manifest.faces, store=str(store), size=64)
    assert run(manifest=manifest).figures == small.figures


def test_labelled_parts_are_cases_of_the_faces_that_have_them(
    run: Evaluate, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    first, second, third = evaluation_faces(tiny_manifest, "test", 3).rows["face"]
    labels = np.zeros((64, 64), np.uint8)
    labels[:16] = PART_LABELS.index("hair") + 1
    photos = []
    for name in (first, second, third):
        [face] = tiny_manifest.aligned_faces.photo(name).faces
        photos.append(AlignedPhoto(name, None, [replace(face, parts=labels if name != second else face.parts)]))
    FaceStore.write(tmp_path, photos)
    three = EvaluationSettings(max_faces=3, lpips_backbone="alex", samples=1)
    figures = run(three, manifest=replace(tiny_manifest, store=str(tmp_path)), features=True).figures
    counts = {row["family"]: row["identity"]["n"] for row in figures["table"]}
    assert {name: count for name, count in counts.items() if name.startswith("parts/")} == {"parts/hair": 2}
    assert counts["features/nose"] == 3
    row = find_row(figures, "model", "parts/hair", None)
    assert row["hole_ratio"] == pytest.approx(17 / 64), "a little more than was labelled"


def test_a_face_without_the_part_is_left_out_of_that_parts_figures(
    run: Evaluate, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    first, second = evaluation_faces(tiny_manifest, "test", 2).rows["face"]
    photos = []
    for name, moved in ((first, ("mouth", "jaw")), (second, ("jaw",))):
        [face] = tiny_manifest.aligned_faces.photo(name).faces
        beyond = face.sixty_eight.copy()
        for part, where in (("mouth", slice(48, 68)), ("jaw", slice(0, 17))):
            if part in moved:
                beyond[where, 1] += 80
        photos.append(AlignedPhoto(name, None, [replace(face, sixty_eight=beyond)]))
    FaceStore.write(tmp_path, photos)
    manifest = replace(tiny_manifest, store=str(tmp_path))
    figures = run(manifest=manifest, features=True).figures
    counts = {row["family"]: row["identity"]["n"] for row in figures["table"]}
    assert counts["features/mouth"] == 1
    assert counts["features/nose"] == counts["brush"] == 2
    assert "features/jaw" not in counts, "nobody has one"
    row = find_row(figures, "model", "features/mouth", None)
    mouth = draw_feature_mask("mouth", manifest.aligned_faces.points(second).sixty_eight, 64)
    assert row["hole_ratio"] == pytest.approx(mouth.mean())


def test_no_face_to_evaluate_is_an_error(run: Evaluate, tiny_manifest: Manifest) -> None:
    with pytest.raises(FaceReconError, match=r"the test split has no face: .*data\.splits\.test"):
        run(manifest=manifest_without(tiny_manifest, "test"))


# ----------------------------------------------------------------------------------------------------------- samples


@pytest.fixture(scope="module")
def shown(run: Evaluate, tiny_masks: MaskSet, tiny_manifest: Manifest) -> Evaluation:
    """All three test faces, brush masks of levels 1 and 3."""
    masks = MaskSet(64, {(level, "brush"): tiny_masks.masks[level, "brush"] for level in (1, 3)}, tiny_masks.folder)
    return run(EvaluationSettings(max_faces=3, lpips_backbone="alex", samples=4), masks=masks)


def test_samples_are_the_first_faces_under_levels_in_turn(
    shown: Evaluation, tiny_masks: MaskSet, tiny_manifest: Manifest
) -> None:
    faces, samples = evaluation_faces(tiny_manifest, "test", 3), shown.samples
    assert samples["kind"].tolist() == ["typical"] * 3 + ["worst"] * 2
    assert samples["level"].tolist()[:3] == [1, 3, 1]
    assert np.array_equal(samples["original"][:3], faces.images)
    for index, (sha, level) in enumerate(zip(faces.sha256s, (1, 3, 1), strict=True)):
        assert np.array_equal(samples["mask"][index], tiny_masks.for_face(sha, level, "brush"))
    known = samples["mask"] == 0
    for name in ("reconstructed", "telea"):
        assert samples[name].shape == samples["original"].shape
        assert np.array_equal(samples[name][known], samples["original"][known])
    difference = np.abs(samples["reconstructed"].astype(float) - samples["original"]).mean(axis=3)
    assert np.abs(samples["error"] - difference).max() <= 0.5
    assert (samples["confidence"][known] == 255).all()
    assert samples["confidence"][~known].min() < 255
    others = {"level", "kind", "boxes", "hole_psnr"}
    assert all(samples[name].dtype == np.uint8 for name in samples if name not in others)
    assert samples["boxes"].dtype == np.int16
    assert samples["hole_psnr"].dtype == np.float32


def test_the_worst_samples_are_different_faces_of_the_lowest_hole_psnr(
    shown: Evaluation, tiny_model: TrainedModel, tiny_masks: MaskSet, tiny_manifest: Manifest
) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 3)
    images = torch.from_numpy(faces.images).permute(0, 3, 1, 2)
    psnr = {}
    for level in (1, 3):
        masks = np.stack([tiny_masks.for_face(sha, level, "brush") for sha in faces.sha256s])
        mask = torch.from_numpy(masks).float()[:, None]
        for index, value in enumerate(hole_psnr(reconstruct(tiny_model.build(), faces.images, masks)[0], images, mask)):
            psnr[index, level] = float(value)
    worst_of = {index: min((psnr[index, level], level) for level in (1, 3)) for index in range(3)}
    wanted = sorted((*worst_of[index], index) for index in range(3))[:2]
    assert shown.samples["hole_psnr"][3:] == pytest.approx([value for value, _, _ in wanted], rel=1e-5)
    assert shown.samples["level"][3:].tolist() == [level for _, level, _ in wanted]
    assert np.array_equal(shown.samples["original"][3:], faces.images[[index for *_, index in wanted]])
    assert shown.samples["hole_psnr"][:3] == pytest.approx([psnr[0, 1], psnr[1, 3], psnr[2, 1]], rel=1e-5)


def test_attention_is_that_of_the_sample(shown: Evaluation, tiny_model: TrainedModel) -> None:
    samples, names = shown.samples, shown.figures["model"]["attention"]
    assert names == ["1/2", "1/1"]
    mask = torch.from_numpy(samples["mask"]).float()[:, None]
    with torch.no_grad():
        maps = tiny_model.build().attention(from_uint8(samples["original"]), mask)
    assert samples["attention"].shape == (5, 2, 64, 64)
    for index, name in enumerate(names):
        assert np.abs(samples["attention"][:, index] / 255 - maps[name][:, 0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_boxes_hold_the_parts_of_the_face(shown: Evaluation, tiny_manifest: Manifest) -> None:
    points = [points.sixty_eight for points in evaluation_faces(tiny_manifest, "test", 3).points]
    assert shown.samples["boxes"].shape == (5, 3, 4)
    for boxes, sixty_eight in zip(shown.samples["boxes"], points, strict=False):
        for (x0, y0, x1, y1), part in zip(boxes, (slice(36, 48), slice(27, 36), slice(48, 68)), strict=True):
            inner = sixty_eight[part].clip(0, 64)
            assert 0 <= x0 <= inner[:, 0].min() < inner[:, 0].max() <= x1 <= 64
            assert 0 <= y0 <= inner[:, 1].min() < inner[:, 1].max() <= y1 <= 64
    eyes = shown.samples["boxes"][0, 0]
    assert eyes[2] - eyes[0] < 50, "a margin, not half of the face"
    assert not (module._boxes(points[0] + 500, 64) - 64).any(), "outside the crop: empty"


def test_no_more_samples_than_asked_for_or_than_there_are(small: Evaluation, run: Evaluate) -> None:
    assert {len(value) for value in small.samples.values()} == {4}, "two typical ones, and both of them as the worst"
    fewer = run(EvaluationSettings(max_faces=2, lpips_backbone="alex", samples=1))
    assert {len(value) for value in fewer.samples.values()} == {2}
    assert fewer.samples["kind"].tolist() == ["typical", "worst"]


# -------------------------------------------------------------------------------------------- confidence and lighting


def test_confidence_is_measured_in_the_holes_of_every_case(
    run: Evaluate, tiny_model: TrainedModel, tiny_manifest: Manifest, one_kind: MaskSet
) -> None:
    figures = run(EvaluationSettings(max_faces=3, lpips_backbone="alex"), features=True).figures
    found = figures["confidence"]
    cases = list(dict.fromkeys((row["family"], row["level"]) for row in figures["table"]))
    assert found["threshold"] == 16
    assert [(row["family"], row["level"]) for row in found["rows"]] == cases
    assert [(row["family"], row["level"]) for row in found["reliability"]] == cases
    faces = evaluation_faces(tiny_manifest, "test", 3)
    masks = np.stack([one_kind.for_face(sha, 2, "brush") for sha in faces.sha256s])
    composites, confidence = reconstruct(tiny_model.build(), faces.images, masks)
    assert confidence is not None
    errors = np.abs(composites.permute(0, 2, 3, 1).numpy().astype(float) - faces.images).mean(axis=3)
    said, hole = confidence[:, 0].numpy(), masks == 1
    right = errors[hole] <= 16
    assert 0.01 < right.mean() < 0.99, "else the figures say nothing"
    ranks = [spearmanr(s[h], -e[h]).statistic for s, e, h in zip(said, errors, hole, strict=True)]
    row = found["rows"][cases.index(("brush", 2))]
    assert row == {
        "family": "brush",
        "level": 2,
        "pixels": hole.sum(),
        "faces": 3,
        "brier": pytest.approx(np.mean((said[hole] - right) ** 2), rel=1e-4),
        "brier_constant": pytest.approx(right.mean() * (1 - right.mean())),
        "rank_correlation": pytest.approx(np.mean(ranks), abs=1e-4),
        "calibration_error": pytest.approx(row["calibration_error"]),
        "mean_confidence": pytest.approx(said[hole].mean(), rel=1e-4),
        "share_right": pytest.approx(right.mean()),
    }
    bins = found["reliability"][cases.index(("brush", 2))]["bins"]
    assert sum(each["pixels"] for each in bins) == hole.sum()
    gaps = [each["pixels"] * abs(each["mean_confidence"] - each["share_right"]) for each in bins if each["pixels"]]
    assert row["calibration_error"] == pytest.approx(sum(gaps) / hole.sum())


def test_a_model_that_does_not_say_how_sure_it_is_has_no_such_figures(run: Evaluate) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = build_model("unet_attention", {"features": [4, 8], "confidence": False})
    options = {"features": [4, 8], "confidence": False}
    result = run(model=TrainedModel("unet_attention", options, 64, 9, dict(model.state_dict())))
    assert result.figures["confidence"] is None
    assert (result.samples["confidence"] == 255).all()


def test_lighting_groups_faces_by_their_mean_luma(
    run: Evaluate, tiny_manifest: Manifest, tiny_masks: MaskSet, tmp_path: Path
) -> None:
    photos = []
    for name, wanted in zip(evaluation_faces(tiny_manifest, "test", 3).rows["face"], (40, 60, 200), strict=True):
        [face] = tiny_manifest.aligned_faces.photo(name).faces
        crop = face.crop * (wanted / face.crop.mean())
        photos.append(AlignedPhoto(name, None, [replace(face, crop=crop.clip(0, 255).round().astype(np.uint8))]))
    FaceStore.write(tmp_path, photos)
    manifest = replace(tiny_manifest, store=str(tmp_path))
    masks = MaskSet(64, {(level, "brush"): tiny_masks.masks[level, "brush"] for level in (1, 2)}, tiny_masks.folder)
    figures = run(EvaluationSettings(max_faces=3, lpips_backbone="alex"), manifest=manifest, masks=masks).figures
    rows = figures["lighting"]
    assert [(row["condition"], row["low"], row["high"], row["faces"], row["method"], row["level"]) for row in rows] == [
        (*condition, method, level)
        for condition in (("dark", 0, 85, 2), ("bright", 170, 255, 1))
        for method in ("model", "telea")
        for level in (1, 2)
    ]
    for method, level in (("model", 1), ("telea", 2)):
        here = {row["condition"]: row["hole_psnr"] for row in rows if (row["method"], row["level"]) == (method, level)}
        both = (2 * here["dark"]["mean"] + here["bright"]["mean"]) / 3
        assert both == pytest.approx(find_row(figures, method, "brush", level)["hole_psnr"]["mean"])
        assert here["dark"]["n"] == 2


# ------------------------------------------------------------------------------------------------ reconstruction


def test_reconstruction_keeps_known_pixels_and_does_not_look_under_the_mask(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    faces = evaluation_faces(tiny_manifest, "train", 8)
    masks = np.stack([tiny_masks.for_face(sha, 3, "brush") for sha in faces.sha256s])
    model = tiny_model.build()
    composites, confidence = reconstruct(model, faces.images, masks)
    assert composites.dtype == torch.uint8
    assert composites.shape == (8, 3, 64, 64)
    assert confidence is not None
    assert confidence.shape == (8, 1, 64, 64)
    shown = composites.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(shown[masks == 0], faces.images[masks == 0])
    hidden = np.where(masks[..., None] == 1, 255 - faces.images, faces.images)
    assert torch.equal(reconstruct(model, hidden, masks)[0], composites)
