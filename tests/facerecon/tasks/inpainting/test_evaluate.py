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
from scipy.stats import spearmanr

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations
from facerecon.corruption.masks import FEATURE_PARTS, draw_feature_mask
from facerecon.corruption.settings import MaskSettings
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.data.parts import PART_LABELS
from facerecon.data.store import AlignedPhoto, FaceStore
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.image_metrics import identity, lpips
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first, from_uint8, hole_psnr, ssim, to_uint8, whole_psnr
from facerecon.evaluation.scores import Scores, Summary
from facerecon.models import build_model
from facerecon.models.layers.face_prior import FacePrior
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import load_identity
from facerecon.perception.lpips import LPIPS
from facerecon.tasks.inpainting import evaluate as module
from facerecon.tasks.inpainting import evaluator
from facerecon.tasks.inpainting.baselines import BASELINES
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.details import InpaintingDetails
from facerecon.tasks.inpainting.evaluate import METHODS, EvaluationPart, evaluate
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings as Chosen
from facerecon.tasks.inpainting.evaluator import (
    Evaluator,
    Filled,
    degraded_case,
    fill_by_model,
    mask_cases,
    measure,
)
from facerecon.tasks.inpainting.metrics import HOLE_PSNR

QUICK = Chosen(max_faces=2, lpips_backbone="alex", samples=5)
Evaluate = Callable[..., Evaluation]


def figure(result: Evaluation, method: str, metric: str, case: str, level: int = -1) -> Summary:
    """A figure that must be there."""
    found = result.summary(metric, case, level, method)
    assert found is not None
    return found


def counts(result: Evaluation) -> dict[str, int]:
    """How many faces each case has."""
    identity = result.metrics[-1].name
    return {case: figure(result, "model", identity, case, level).n for case, level in result.split_cases}


def without(scores: Scores, method: str) -> dict[tuple[MetricKey, str], list[float]]:
    return {column: scores.values(*column).tolist() for column in scores if column[1] != method}


def model_of(options: dict[str, Any], family: str = "unet_attention") -> TrainedModel:
    """A fresh network."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = build_model(family, options)
    return TrainedModel(family, options, 64, 9, dict(model.state_dict()))


@pytest.fixture(scope="module")
def one_kind(tiny_masks: MaskSet) -> MaskSet:
    """Brush, level 2, alone."""
    return MaskSet(tiny_masks.size, {(2, "brush"): tiny_masks.masks[2, "brush"]}, tiny_masks.folder)


@pytest.fixture(scope="module")
def run(tiny_model: TrainedModel, tiny_manifest: Manifest, one_kind: MaskSet) -> Evaluate:
    """``run(...)`` evaluates the tiny model on two blobs under one kind of mask, or as said."""

    def evaluate_blobs(
        settings: Chosen = QUICK,
        *,
        model: TrainedModel = tiny_model,
        manifest: Manifest = tiny_manifest,
        masks: MaskSet = one_kind,
        features: bool = False,
        teachers: tuple[str, ...] = ("lpips_alex", "sface"),
        others: dict[str, TrainedModel] | None = None,
    ) -> Evaluation:
        part = EvaluationPart(masks=MaskSettings(evaluate_features=features), evaluation=settings)
        return evaluate(part, replace(model, teachers=teachers), manifest, MaskCases(masks), others)

    return evaluate_blobs


@pytest.fixture(scope="module")
def small(run: Evaluate) -> Evaluation:
    """Two faces, one kind of mask."""
    return run()


def manifest_without(manifest: Manifest, split: str) -> Manifest:
    return Manifest(manifest.faces[manifest.faces["split"] != split], store=manifest.store, size=64)


# ------------------------------------------------------------------------------------------------------------- table


def test_as_used_stands_beside_and_changes_no_figure(run: Evaluate, aligned: Manifest, tiny_masks: MaskSet) -> None:
    """Of the faces that are measured the first by hash, under the deciding masks and some parts of the face."""
    manifest = replace(aligned, faces=aligned.faces.assign(split="test"))
    masks = MaskSet(64, {key: tiny_masks.masks[key] for key in ((1, "brush"), (1, "held_out"))}, tiny_masks.folder)
    few = {"max_faces": 3, "lpips_backbone": "alex", "samples": 1}
    off = run(Chosen(as_used=0, **few), manifest=manifest, masks=masks, features=True)
    on = run(Chosen(as_used=2, **few), manifest=manifest, masks=masks, features=True)
    assert (off.details.as_used, off.details.as_used_note) == ((), "evaluation.as_used = 0")
    rows = on.details.as_used
    assert {(row.case, row.level) for row in rows} == {
        ("brush", 1),
        *((f"features/{part}", -1) for part in ("left_eye", "mouth", "all")),
    }
    assert {row.method for row in rows} == {"model", "telea"}
    assert {row.faces for row in rows} == {2}
    (brush,) = [row for row in rows if (row.case, row.method) == ("brush", "model")]
    key = MetricKey("test", "hole_psnr", "brush", 1)
    measured = dict(zip(on.scores.faces(key, "model"), on.scores.values(key, "model"), strict=True))
    assert brush.found == 2
    assert brush.before == pytest.approx(
        np.mean([measured[face] for face in evaluation_faces(manifest, "test", 2).faces])
    )
    assert on.scores == off.scores
    assert on.details.model_copy(update={"as_used": (), "as_used_note": off.details.as_used_note}) == off.details


def test_blobs_without_photographs_are_not_measured_as_used(small: Evaluation) -> None:
    assert small.details.as_used == ()
    assert small.details.as_used_note == "2 of 2 faces: the manifest names no place of the photographs"


def test_the_scores_have_every_method_under_every_case(
    run: Evaluate, tiny_masks: MaskSet, tiny_manifest: Manifest
) -> None:
    """With VGG as the judge, as configured by default, on all faces of the test split."""
    result = run(Chosen(), masks=tiny_masks, features=True, teachers=())
    cases = [(family, level) for family in ("brush", "held_out") for level in (1, 2, 3)]
    cases += [(f"features/{part}", -1) for part in FEATURE_PARTS]
    assert result.split_cases == cases
    names = [metric.name for metric in result.metrics]
    assert names == ["whole_psnr", "hole_psnr", "ssim", "lpips_vgg", "identity_dlib"]
    assert list(result.methods) == list(METHODS) == ["model", "telea", "mean_fill", "masked_input"]
    for case, level in cases:
        for method in METHODS:
            found = {name: result.summary(name, case, level, method) for name in names}
            measured = {"identity_dlib"} if method == "masked_input" else set(names)
            assert {name for name in names if found[name] is not None} == measured
            assert all(found[name].n == 3 for name in measured), "every face counts"
            assert -1 <= found["identity_dlib"].mean <= 1.0001
    assert isinstance(result.details, InpaintingDetails)
    ratios = {(row.case, row.level): row.ratio for row in result.details.hole_ratios}
    assert list(ratios) == cases
    assert all(0.09 <= ratios[family, 1] <= 0.31 for family in ("brush", "held_out"))
    assert all(0.49 <= ratios[family, 3] <= 0.71 for family in ("brush", "held_out"))
    assert (result.faces, result.identities) == (3, 3)
    assert (result.headline, result.baseline) == (("hole_psnr", "brush"), "telea")
    assert [(judge.label, judge.network, judge.in_loss) for judge in result.judges] == [
        ("LPIPS", "lpips_vgg", False),
        ("identity", "dlib", False),
    ]
    assert "0.909" in result.judges[1].note, "of faces that are alike by this network"
    assert (result.cases, result.data) == (tiny_masks.digest, tiny_manifest.digest)
    stored = result.as_dict()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert Evaluation.from_dict(stored, result.scores, {}, InpaintingDetails) == replace(result, samples={})


@pytest.fixture(scope="module")
def degraded(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> DegradedSet:
    """The blobs of the test split, moved and as by a camera."""
    faces = tiny_manifest.split("test")["face"].tolist()
    return freeze_degradations(tmp_path_factory.mktemp("degraded"), tiny_manifest, ("motion", "cctv"), 64, faces=faces)


def test_degraded_faces_are_cases_beside_those_that_there_are(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet, degraded: DegradedSet
) -> None:
    chosen = DegradationSettings(evaluation=("motion", "cctv"))
    masks = MaskSettings(evaluate_features=False)
    part = EvaluationPart(masks=masks, degradations=chosen, evaluation=QUICK)
    cases = MaskCases(tiny_masks, degraded)
    with_them = evaluate(part, tiny_model, tiny_manifest, cases)
    off = EvaluationPart(masks=masks, evaluation=QUICK)
    without_them = evaluate(off, tiny_model, tiny_manifest, MaskCases(tiny_masks))
    assert with_them.split_cases == [*without_them.split_cases, ("degraded/motion", 2), ("degraded/cctv", 2)]
    kept = {column: with_them.scores.values(*column) for column in without_them.scores}
    assert all(np.array_equal(kept[column], without_them.scores.values(*column)) for column in kept)
    for preset in chosen.evaluation:
        for method in METHODS:
            measured = {m.name for m in with_them.metrics if with_them.summary(m.name, f"degraded/{preset}", 2, method)}
            expected = {"identity_dlib"} if method == "masked_input" else {m.name for m in with_them.metrics}
            assert measured == expected
    brush = with_them.details.hole_ratio("brush", 2)
    assert with_them.details.hole_ratio("degraded/cctv", 2) == brush, "they are hidden by the same masks"
    assert {row.case for row in with_them.details.confidence} >= {"degraded/motion", "degraded/cctv"}
    assert (with_them.cases, without_them.cases) == (cases.digest, tiny_masks.digest)
    assert with_them.headline == without_them.headline
    assert all(np.array_equal(with_them.samples[name], array) for name, array in without_them.samples.items())


def test_over_degraded_faces_the_degraded_face_is_the_truth(
    tiny_manifest: Manifest, tiny_masks: MaskSet, degraded: DegradedSet
) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 3)
    clean = channels_first(faces.images)

    def perfect(images: np.ndarray, masks: np.ndarray) -> Filled:
        return Filled(channels_first(images), torch.ones(len(images), dtype=torch.bool))

    def sharp(images: np.ndarray, masks: np.ndarray) -> Filled:
        hole = torch.from_numpy(masks)[:, None] == 1
        return Filled(torch.where(hole, clean, channels_first(images)), torch.ones(len(images), dtype=torch.bool))

    metrics = (HOLE_PSNR, lpips("alex"), identity("dlib"))
    seen, case = degraded_case(faces, tiny_masks, degraded, "cctv")
    assert (case.case, case.level) == ("degraded/cctv", 2)
    judges = Judges(*metrics[1:])
    evaluator = Evaluator("test", lambda case, method: metrics, judges)
    scores = measure(evaluator, {"perfect": perfect, "sharp": sharp}, seen, [case], "")
    psnr, distance, cosine = (MetricKey("test", metric.name, "degraded/cctv", 2) for metric in metrics)
    assert np.isinf(scores.values(psnr, "perfect")).all()
    assert scores.values(distance, "perfect") == pytest.approx(0, abs=1e-6)
    assert scores.values(cosine, "perfect") == pytest.approx(1, abs=1e-5)
    assert (scores.values(psnr, "sharp") < 35).all(), "the clean face is not what was degraded and hidden"
    assert (scores.values(distance, "sharp") > 0.001).all()


def test_scores_are_keyed_by_the_faces_digests(small: Evaluation, tiny_manifest: Manifest) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 2).faces
    assert {small.scores.faces(*column) for column in small.scores if column[0].face_set == "test"} == {faces}
    assert all(len(face) == 64 for face in faces)


def test_model_is_described(run: Evaluate, small: Evaluation, tiny_model: TrainedModel) -> None:
    model = small.model
    assert (model.task, model.family, model.size, model.step) == ("inpainting", "unet_attention", 64, 1)
    assert model.weights == tiny_model.digest
    assert model.parameters == sum(values.numel() for values in tiny_model.build().parameters())
    assert model.fitted == 0
    assert small.details.attention == ("1/2", "1/1")


def test_what_the_prior_took_from_faces_is_counted_apart(run: Evaluate) -> None:
    options = {"features": [8, 16], "prior_grid": 8, "prior_components": 6}
    found = run(Chosen(max_faces=1, samples=1), model=model_of(options, "unet_fill")).model
    brightness, colour = 8 * 8 * (1 + 6 / 2), 2 * 4 * 4 * (1 + 2 / 2)
    assert found.fitted == brightness + colour + 2, "means and, on half a face, components; the noises' variances"
    network = build_model("unet_fill", options)
    assert any(isinstance(part, FacePrior) for part in network.modules())
    assert found.parameters == sum(values.numel() for values in network.parameters())


@pytest.mark.parametrize(
    ("teachers", "lpips", "identity"),
    [((), False, False), (("lpips_alex",), True, False), (("sface", "lpips_vgg"), False, True)],
)
def test_a_judge_that_was_a_teacher_is_marked(
    run: Evaluate, teachers: tuple[str, ...], lpips: bool, identity: bool
) -> None:
    chosen = Chosen(max_faces=1, lpips_backbone="alex", identity_network="sface", samples=1)
    judges = run(chosen, teachers=teachers).judges
    assert [(judge.network, judge.in_loss) for judge in judges] == [("lpips_alex", lpips), ("sface", identity)]
    assert judges[1].note.startswith("on photographs, a cosine of 0.36")


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
            saved = to_uint8(images)
            seen = saved.float() / 127.5 - 1
            expected = {"identity_dlib": (identity.embed(seen, faces.points5()) * people).sum(1)}
            if method != "masked_input":
                expected["whole_psnr"] = whole_psnr(saved, to_uint8(truth))
                expected["hole_psnr"] = hole_psnr(saved, to_uint8(truth), mask)
                expected["ssim"] = ssim(saved, to_uint8(truth))
                expected["lpips_alex"] = lpips(seen, truth)
            for metric, values in expected.items():
                found = small.scores.values(MetricKey("test", metric, "brush", 2), method)
                assert found == pytest.approx(values.numpy(), rel=1e-4, abs=1e-4), (method, metric)
    assert small.details.hole_ratio("brush", 2) == pytest.approx(masks.mean())


def test_the_same_evaluation_gives_the_same_figures(run: Evaluate, small: Evaluation) -> None:
    again = run()
    assert again.scores == small.scores
    assert again.as_dict() == small.as_dict()
    assert all(np.array_equal(again.samples[name], small.samples[name]) for name in small.samples)


def test_baselines_do_not_depend_on_the_model(run: Evaluate, small: Evaluation) -> None:
    other = run(model=model_of({"features": [8, 4]})).scores
    assert without(other, "model") == without(small.scores, "model")
    assert other != small.scores


def test_figures_do_not_depend_on_how_faces_are_batched(
    run: Evaluate, tiny_masks: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = MaskSet(64, {key: tiny_masks.masks[key] for key in ((1, "brush"), (3, "held_out"))}, tiny_masks.folder)
    settings = Chosen(max_faces=3, lpips_backbone="alex", samples=1)
    together = run(settings, masks=masks).scores
    monkeypatch.setattr(evaluator, "BATCH", 2)
    apart = run(settings, masks=masks).scores
    assert list(apart) == list(together)
    for column in together:
        assert apart.faces(*column) == together.faces(*column)
        assert apart.values(*column) == pytest.approx(together.values(*column), rel=1e-4)


def test_a_face_keeps_its_masks_whoever_else_is_evaluated(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    many, few = (evaluation_faces(tiny_manifest, "train", most) for most in (8, 3))
    assert 3 == len(few) < len(many)
    of_many = mask_cases(many, tiny_masks, parts=True)
    for case, other in zip(mask_cases(few, tiny_masks, parts=True), of_many, strict=True):
        assert (case.case, case.level) == (other.case, other.level)
        for mask, sha in zip(case.masks, few.sha256s, strict=True):
            assert np.array_equal(mask, other.masks[many.sha256s.index(sha)])


def test_only_people_of_the_test_split_are_read(
    run: Evaluate, small: Evaluation, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_manifest.store, tmp_path / "store")
    others = pd.concat([tiny_manifest.split(split) for split in ("train", "val", "gate")])
    assert FaceStore.remove(store, set(others["sha256"])) == len(others) == 13
    manifest = Manifest(tiny_manifest.faces, store=str(store), size=64)
    assert run(manifest=manifest).scores == small.scores


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
    three = Chosen(max_faces=3, lpips_backbone="alex", samples=1)
    result = run(three, manifest=replace(tiny_manifest, store=str(tmp_path)), features=True)
    found = counts(result)
    assert {name: count for name, count in found.items() if name.startswith("parts/")} == {"parts/hair": 2}
    assert found["features/nose"] == 3
    assert result.scores.faces(MetricKey("test", "ssim", "parts/hair"), "telea") == (first, third)
    assert result.details.hole_ratio("parts/hair", -1) == pytest.approx(17 / 64), "a little more than was labelled"


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
    result = run(manifest=manifest, features=True)
    found = counts(result)
    assert found["features/mouth"] == 1
    assert found["features/nose"] == found["brush"] == 2
    assert "features/jaw" not in found, "nobody has one"
    mouth = draw_feature_mask("mouth", manifest.aligned_faces.points(second).sixty_eight, 64)
    assert result.details.hole_ratio("features/mouth", -1) == pytest.approx(mouth.mean())


def test_no_face_to_evaluate_is_an_error(run: Evaluate, tiny_manifest: Manifest) -> None:
    with pytest.raises(FaceReconError, match=r"the test split has no face: .*data\.splits\.test"):
        run(manifest=manifest_without(tiny_manifest, "test"))


# ----------------------------------------------------------------------------------------------------------- samples


@pytest.fixture(scope="module")
def shown(run: Evaluate, tiny_masks: MaskSet, tiny_manifest: Manifest) -> Evaluation:
    """All three test faces, brush masks of levels 1 and 3."""
    masks = MaskSet(64, {(level, "brush"): tiny_masks.masks[level, "brush"] for level in (1, 3)}, tiny_masks.folder)
    return run(Chosen(max_faces=3, lpips_backbone="alex", samples=4), masks=masks)


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
        for index, value in enumerate(
            hole_psnr(fill_by_model(tiny_model.build())(faces.images, masks).images, images, mask)
        ):
            psnr[index, level] = float(value)
    worst_of = {index: min((psnr[index, level], level) for level in (1, 3)) for index in range(3)}
    wanted = sorted((*worst_of[index], index) for index in range(3))[:2]
    assert shown.samples["hole_psnr"][3:] == pytest.approx([value for value, _, _ in wanted], rel=1e-5)
    assert shown.samples["level"][3:].tolist() == [level for _, level, _ in wanted]
    assert np.array_equal(shown.samples["original"][3:], faces.images[[index for *_, index in wanted]])
    assert shown.samples["hole_psnr"][:3] == pytest.approx([psnr[0, 1], psnr[1, 3], psnr[2, 1]], rel=1e-5)


def test_attention_is_that_of_the_sample(shown: Evaluation, tiny_model: TrainedModel) -> None:
    samples, names = shown.samples, shown.details.attention
    assert names == ("1/2", "1/1")
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
    fewer = run(Chosen(max_faces=2, lpips_backbone="alex", samples=1))
    assert {len(value) for value in fewer.samples.values()} == {2}
    assert fewer.samples["kind"].tolist() == ["typical", "worst"]


# -------------------------------------------------------------------------------------------- confidence and lighting


def test_confidence_is_measured_in_the_holes_of_every_case(
    run: Evaluate, tiny_model: TrainedModel, tiny_manifest: Manifest, one_kind: MaskSet
) -> None:
    result = run(Chosen(max_faces=3, lpips_backbone="alex"), features=True)
    rows = {(row.case, row.level): row for row in result.details.confidence}
    assert result.details.threshold == 16
    assert list(rows) == result.split_cases
    faces = evaluation_faces(tiny_manifest, "test", 3)
    masks = np.stack([one_kind.for_face(sha, 2, "brush") for sha in faces.sha256s])
    filled = fill_by_model(tiny_model.build())(faces.images, masks)
    assert filled.confidence is not None
    errors = np.abs(filled.images.permute(0, 2, 3, 1).numpy().astype(float) - faces.images).mean(axis=3)
    said, hole = filled.confidence[:, 0].numpy(), masks == 1
    right = errors[hole] <= 16
    assert 0.01 < right.mean() < 0.99, "else the figures say nothing"
    ranks = [spearmanr(s[h], -e[h]).statistic for s, e, h in zip(said, errors, hole, strict=True)]
    row = rows["brush", 2]
    gaps = [each.pixels * abs(each.mean_confidence - each.share_right) for each in row.bins if each.pixels]
    assert row.model_dump(exclude={"bins"}) == {
        "case": "brush",
        "level": 2,
        "pixels": hole.sum(),
        "faces": 3,
        "brier": pytest.approx(np.mean((said[hole] - right) ** 2), rel=1e-4),
        "brier_constant": pytest.approx(right.mean() * (1 - right.mean())),
        "rank_correlation": pytest.approx(np.mean(ranks), abs=1e-4),
        "calibration_error": pytest.approx(sum(gaps) / hole.sum()),
        "mean_confidence": pytest.approx(said[hole].mean(), rel=1e-4),
        "share_right": pytest.approx(right.mean()),
    }
    assert sum(each.pixels for each in row.bins) == hole.sum()


def test_a_model_that_does_not_say_how_sure_it_is_has_no_such_figures(run: Evaluate) -> None:
    result = run(model=model_of({"features": [4, 8], "confidence": False}))
    assert result.details.confidence == ()
    assert (result.samples["confidence"] == 255).all()


def test_a_model_that_gives_something_that_is_not_finite_is_an_error(run: Evaluate, tiny_model: TrainedModel) -> None:
    broken = {name: value * torch.nan for name, value in tiny_model.weights.items()}
    with pytest.raises(FaceReconError, match=r"not finite: .*training\.learning_rate"):
        run(model=replace(tiny_model, weights=broken))


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
    result = run(Chosen(max_faces=3, lpips_backbone="alex"), manifest=manifest, masks=masks)
    lit = [(key, method) for key, method in result.scores if key.face_set != "test"]
    assert [(key.face_set, method, key.level, len(result.scores.faces(key, method))) for key, method in lit] == [
        (condition, method, level, faces)
        for condition, faces in (("test_dark", 2), ("test_bright", 1))
        for level in (1, 2)
        for method in ("model", "telea")
    ]
    assert {(key.metric, key.case) for key, _ in lit} == {("hole_psnr", "brush")}
    for method, level in (("model", 1), ("telea", 2)):
        dark, bright = (result.summary("hole_psnr", "brush", level, method, f"test_{k}") for k in ("dark", "bright"))
        both = (2 * dark.mean + bright.mean) / 3
        assert both == pytest.approx(figure(result, method, "hole_psnr", "brush", level).mean)


def test_faces_of_known_light_are_told_by_it_beside_their_brightness(
    run: Evaluate, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    names = evaluation_faces(tiny_manifest, "test", 3).rows["face"].tolist()
    for name, light in zip(names, (1, 1, 4), strict=True):
        photo = tiny_manifest.aligned_faces.photo(name)
        FaceStore.write(tmp_path, [replace(photo, faces=[replace(photo.faces[0], truth={"light": np.array(light)})])])
    manifest = replace(tiny_manifest, store=str(tmp_path), truth="some")
    result, plain = (
        run(Chosen(max_faces=3, lpips_backbone="alex"), manifest=each) for each in (manifest, tiny_manifest)
    )
    lit = {key.face_set: set() for key in result.scores.keys if "_light_" in key.face_set}
    for key, method in result.scores:
        if key.face_set in lit:
            lit[key.face_set].add((key.metric, key.case, method, result.scores.faces(key, method)))
    assert lit == {
        "test_light_side": {("hole_psnr", "brush", method, tuple(names[:2])) for method in ("model", "telea")},
        "test_light_dim": {("hole_psnr", "brush", method, (names[2],)) for method in ("model", "telea")},
    }
    figures = result.as_dict()["figures"]
    assert {row["face_set"] for row in figures} >= set(lit)
    # all else is as without
    assert [row for row in figures if row["face_set"] not in lit] == plain.as_dict()["figures"]


# ------------------------------------------------------------------------------------------------ reconstruction


def test_reconstruction_keeps_known_pixels_and_does_not_look_under_the_mask(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    faces = evaluation_faces(tiny_manifest, "train", 8)
    masks = np.stack([tiny_masks.for_face(sha, 3, "brush") for sha in faces.sha256s])
    model = tiny_model.build()
    fill = fill_by_model(model)
    composites, finite, reconstruction, confidence = fill(faces.images, masks)
    assert finite.all()
    assert reconstruction is not None
    assert torch.equal(to_uint8(reconstruction), composites)
    assert composites.dtype == torch.uint8
    assert composites.shape == (8, 3, 64, 64)
    assert confidence is not None
    assert confidence.shape == (8, 1, 64, 64)
    shown = composites.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(shown[masks == 0], faces.images[masks == 0])
    hidden = np.where(masks[..., None] == 1, 255 - faces.images, faces.images)
    assert torch.equal(fill(hidden, masks).images, composites)


def apart(manifest: Manifest) -> Manifest:
    """The three test faces: two old, one new."""
    names = manifest.split("test")["face"].tolist()
    return replace(manifest, face_sets={"test_old": tuple(names[:2]), "test_new": tuple(names[2:])})


def test_face_sets_are_measured_apart_and_the_first_is_the_headline(
    tiny_manifest: Manifest, tiny_model: TrainedModel, run: Evaluate
) -> None:
    found = run(manifest=apart(tiny_manifest), others={"champion": tiny_model, "small": replace(tiny_model, size=32)})
    names = tiny_manifest.split("test")["face"].tolist()
    assert [(each.name, each.faces) for each in found.face_sets] == [("test_old", 2), ("test_new", 1)]
    assert {key.face_set.split("_")[1] for key in found.scores.keys} == {"old", "new"}
    assert found.faces == 2
    for face_set, faces in (("test_old", names[:2]), ("test_new", names[2:])):
        key = MetricKey(face_set, "hole_psnr", "brush", 2)
        assert set(found.scores.methods(key)) >= {"model", "telea", "mean_fill", "champion"}
        assert sorted(found.scores.faces(key, "model")) == sorted(faces)
        # beside itself a model gains nothing
        assert found.scores.values(key, "champion").tolist() == found.scores.values(key, "model").tolist()
    methods = {method for _, method in found.scores}
    assert "small" not in methods, "a model of another face size is not measured"
    assert "champion" not in found.methods


def test_one_figure_that_is_not_finite_and_the_other_model_is_left_out(
    tiny_manifest: Manifest, tiny_model: TrainedModel, run: Evaluate
) -> None:
    broken = replace(
        tiny_model,
        weights={
            name: value * float("nan") if value.is_floating_point() else value
            for name, value in tiny_model.weights.items()
        },
    )
    found = run(others={"champion": broken})
    assert "champion" not in {method for _, method in found.scores}
