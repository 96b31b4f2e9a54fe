"""The evaluation: the whole table, each figure by its definition, and every face under its own masks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.config.evaluation import EvaluationSettings
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.masks import FEATURE_PARTS, draw_feature_mask
from facerecon.data.alignment import read_points
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation import evaluate as module
from facerecon.evaluation.baselines import BASELINES
from facerecon.evaluation.evaluate import (
    METHODS,
    METRICS,
    Evaluation,
    evaluate,
    from_uint8,
    gate_scores,
    reconstruct,
)
from facerecon.evaluation.metrics import hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.models import build_model
from facerecon.perception.identity import load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.training.checkpoints import TrainedModel

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
    return MaskSet(tiny_masks.size, {(2, "brush"): tiny_masks.masks[2, "brush"]})


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
    assert result.figures["judges"]["lpips"] == {"network": "lpips_vgg", "in_loss": False}
    assert result.figures["masks"] == tiny_masks.digest
    assert result.figures["data"] == tiny_manifest.digest
    assert json.loads(json.dumps(result.figures, allow_nan=False)) == result.figures


def test_model_is_described(small: Evaluation, tiny_model: TrainedModel) -> None:
    about = {"family": "unet_attention", "size": 64, "step": 1, "weights": tiny_model.digest}
    assert small.figures["model"] == about


@pytest.mark.parametrize(
    ("taught_by", "lpips", "identity"),
    [((), False, False), (("lpips_alex",), True, False), (("sface", "lpips_vgg"), False, True)],
)
def test_a_judge_that_was_a_teacher_is_marked(
    run: Evaluate, small: Evaluation, taught_by: tuple[str, ...], lpips: bool, identity: bool
) -> None:
    result = run(EvaluationSettings(max_faces=1, lpips_backbone="alex"), taught_by=taught_by)
    assert result.figures["judges"] == {
        "lpips": {"network": "lpips_alex", "in_loss": lpips},
        "identity": {"network": "sface", "in_loss": identity},
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
    lpips, identity = LPIPS("alex"), load_identity("sface")
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
    masks = MaskSet(64, {key: tiny_masks.masks[key] for key in ((1, "brush"), (3, "held_out"))})
    settings = EvaluationSettings(max_faces=3, lpips_backbone="alex", samples=1)
    together = run(settings, masks=masks).figures["table"]
    monkeypatch.setattr(module, "BATCH", 2)
    apart = run(settings, masks=masks).figures["table"]
    assert len(apart) == len(together)
    for row, other in zip(apart, together, strict=True):
        for name in METRICS:
            if name in row:
                assert row[name] == pytest.approx(other[name], rel=1e-4)


def test_a_face_keeps_its_masks_whoever_else_is_evaluated(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    many, few = (evaluation_faces(tiny_manifest, "train", most) for most in (8, 3))
    assert 3 == len(few) < len(many)
    of_many = module._cases(many, tiny_masks, features=True)
    for case, other in zip(module._cases(few, tiny_masks, features=True), of_many, strict=True):
        assert case.name == other.name
        for mask, sha in zip(case.masks, few.sha256s, strict=True):
            assert np.array_equal(mask, other.masks[many.sha256s.index(sha)])


def test_only_people_of_the_test_split_are_read(
    run: Evaluate, small: Evaluation, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    for split in ("train", "val", "gate"):
        for crop in tiny_manifest.split(split)["crop"]:
            (store / crop).unlink()
    manifest = Manifest(root="", faces=tiny_manifest.faces, store=str(store), size=64)
    assert run(manifest=manifest).figures == small.figures


def test_a_face_without_the_part_is_left_out_of_that_parts_figures(
    run: Evaluate, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    manifest = Manifest(root="", faces=tiny_manifest.faces, store=str(store), size=64)
    first, second = evaluation_faces(manifest, "test", 2).rows["crop"]
    for crop, moved in ((first, ("mouth", "jaw")), (second, ("jaw",))):
        points = read_points(manifest, crop)
        beyond = points.sixty_eight.copy()
        for part, where in (("mouth", slice(48, 68)), ("jaw", slice(0, 17))):
            if part in moved:
                beyond[where, 1] += 80
        sidecar = {"points5": points.five, "points68": beyond, "landmarks": points.all478}
        path = (store / crop).with_name(Path(crop).name.replace("-0.png", ".npz"))
        np.savez(path, **{f"0/{name}": value for name, value in sidecar.items()})
    figures = run(manifest=manifest, features=True).figures
    counts = {row["family"]: row["identity"]["n"] for row in figures["table"]}
    assert counts["features/mouth"] == 1
    assert counts["features/nose"] == counts["brush"] == 2
    assert "features/jaw" not in counts, "nobody has one"
    row = find_row(figures, "model", "features/mouth", None)
    mouth = draw_feature_mask("mouth", read_points(manifest, second).sixty_eight, 64)
    assert row["hole_ratio"] == pytest.approx(mouth.mean())


def test_no_face_to_evaluate_is_an_error(run: Evaluate, tiny_manifest: Manifest) -> None:
    with pytest.raises(FaceReconError, match=r"the test split has no face: .*data\.splits\.test"):
        run(manifest=manifest_without(tiny_manifest, "test"))


# ----------------------------------------------------------------------------------------------------------- samples


def test_samples_are_the_first_faces_under_levels_in_turn(
    run: Evaluate, tiny_masks: MaskSet, tiny_manifest: Manifest, tiny_model: TrainedModel
) -> None:
    masks = MaskSet(64, {(level, "brush"): tiny_masks.masks[level, "brush"] for level in (1, 3)})
    faces = evaluation_faces(tiny_manifest, "test", 3)
    samples = module._samples(tiny_model.build(), faces, masks, 3)
    assert samples["level"].tolist() == [1, 3, 1]
    assert np.array_equal(samples["original"], faces.images)
    for index, (sha, level) in enumerate(zip(faces.sha256s, (1, 3, 1), strict=True)):
        assert np.array_equal(samples["mask"][index], masks.for_face(sha, level, "brush"))
    known = samples["mask"] == 0
    for name in ("reconstructed", "telea"):
        assert samples[name].shape == faces.images.shape
        assert np.array_equal(samples[name][known], faces.images[known])
    difference = np.abs(samples["reconstructed"].astype(float) - faces.images).mean(axis=3)
    assert np.abs(samples["error"] - difference).max() <= 0.5
    assert (samples["confidence"][known] == 255).all()
    assert samples["confidence"][~known].min() < 255
    assert all(samples[name].dtype == np.uint8 for name in samples if name != "level")


def test_no_more_samples_than_asked_for_or_than_there_are(small: Evaluation, run: Evaluate) -> None:
    assert {len(value) for value in small.samples.values()} == {2}
    fewer = run(EvaluationSettings(max_faces=2, lpips_backbone="alex", samples=1))
    assert {len(value) for value in fewer.samples.values()} == {1}


# -------------------------------------------------------------------------------------------- reconstruction and gate


def test_reconstruction_keeps_known_pixels_and_does_not_look_under_the_mask(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    faces = evaluation_faces(tiny_manifest, "train", 8)
    masks = np.stack([tiny_masks.for_face(sha, 3, "brush") for sha in faces.sha256s])
    model = tiny_model.build()
    composites, confidence = reconstruct(model, faces.images, masks)
    assert composites.dtype == torch.uint8
    assert composites.shape == (8, 3, 64, 64)
    assert confidence.shape == (8, 1, 64, 64)
    shown = composites.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(shown[masks == 0], faces.images[masks == 0])
    hidden = np.where(masks[..., None] == 1, 255 - faces.images, faces.images)
    assert torch.equal(reconstruct(model, hidden, masks)[0], composites)


def test_gate_scores_are_each_faces_hole_psnr_under_brush_masks(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    scores = gate_scores(tiny_model, tiny_manifest, tiny_masks, 10)
    assert list(scores) == ["level_1", "level_2", "level_3"]
    faces = evaluation_faces(tiny_manifest, "gate", 10)
    for level in (1, 2, 3):
        assert scores[f"level_{level}"].shape == (2,)
        for index, (image, sha) in enumerate(zip(faces.images, faces.sha256s, strict=True)):
            mask = tiny_masks.for_face(sha, level, "brush")
            with torch.no_grad():
                output = tiny_model.build()(from_uint8(image[None]), torch.from_numpy(mask)[None, None].float())
            painted = to_uint8(output.reconstruction)[0].permute(1, 2, 0).numpy()
            error = np.mean((painted[mask == 1].astype(float) - image[mask == 1]) ** 2)
            assert scores[f"level_{level}"][index] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-2)


def test_gate_scores_are_of_at_most_so_many_faces(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    assert {len(values) for values in gate_scores(tiny_model, tiny_manifest, tiny_masks, 1).values()} == {1}


def test_no_face_at_the_gate_is_an_error(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    with pytest.raises(FaceReconError, match=r"the gate split has no face: .*data\.splits\.gate"):
        gate_scores(tiny_model, manifest_without(tiny_manifest, "gate"), tiny_masks, 10)
