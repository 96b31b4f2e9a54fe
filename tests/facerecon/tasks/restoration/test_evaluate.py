"""Figures under frozen degradations: their definitions, the baselines, rank 1, and the gate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.corruption.presets import find_preset
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first, whole_psnr
from facerecon.evaluation.promotion import GATE, MODEL
from facerecon.models.trained import TrainingResult
from facerecon.tasks import get_task
from facerecon.tasks.restoration.baselines import by, deconvolution, unchanged
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.evaluator import gallery_of, rank_one_of, restore_by_model
from facerecon.tasks.restoration.export import contract, parity_inputs
from facerecon.tasks.restoration.gate_settings import INPUT
from facerecon.tasks.restoration.network import network_of
from tests.facerecon.tasks.restoration.conftest import settings_of

QUICK = {"lpips_backbone": "vgg", "identity_network": "sface"}


@pytest.fixture(scope="module")
def evaluation(undisturbed: TrainingResult, tiny_manifest: Manifest, cases: DegradedCases) -> Evaluation:
    values = settings_of(evaluation={**QUICK, "samples": 2}).values(*get_task("restoration").fields["evaluation"])
    return get_task("restoration").evaluate(values, undisturbed.best, tiny_manifest, cases)


def test_every_method_stands_under_every_degradation(evaluation: Evaluation) -> None:
    for case in ("motion", "cctv"):
        methods = set(evaluation.scores.methods(MetricKey("test", "whole_psnr", case)))
        expected = {MODEL, INPUT, "unsharp", "non_local_means", "ridge"}
        # only blur alone has a kernel with which it could be undone
        assert methods == expected | ({"richardson_lucy"} if case == "motion" else set())
    assert evaluation.headline == ("lpips_vgg", "motion")


def test_a_figure_is_of_the_frozen_pixels(
    evaluation: Evaluation, undisturbed: TrainingResult, tiny_manifest: Manifest, cases: DegradedCases
) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 10)
    degraded, truth = cases.images("cctv", faces), channels_first(faces.images)
    given = whole_psnr(channels_first(degraded), truth).numpy()
    assert evaluation.scores.values(MetricKey("test", "whole_psnr", "cctv"), INPUT) == pytest.approx(given)
    made = restore_by_model(network_of(undisturbed.best))("cctv", faces.faces, degraded)
    ours = whole_psnr(made.images, truth).numpy()
    assert evaluation.scores.values(MetricKey("test", "whole_psnr", "cctv"), MODEL) == pytest.approx(ours)
    assert not np.allclose(given, ours)


def test_what_is_gained_is_beside_the_input(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    row = next(gain for gain in details.gains if (gain.case, gain.metric) == ("motion", "whole_psnr"))
    key = MetricKey("test", "whole_psnr", "motion")
    ours, theirs = (evaluation.scores.values(key, method).mean() for method in (MODEL, INPUT))
    assert row.mean == pytest.approx(ours - theirs)
    assert row.ratio == pytest.approx(ours / theirs)


def test_nobody_has_two_photos_so_nobody_is_recognised(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    assert (details.gallery, details.probes, details.recognised) == (3, 0, 0)
    assert not [key for key in evaluation.scores.keys if key.metric.startswith("rank1")]


def test_the_true_kernel_undoes_much_of_a_blur(tiny_manifest: Manifest, cases: DegradedCases) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 10)
    truth, degraded = channels_first(faces.images), cases.images("motion", faces)
    before = whole_psnr(channels_first(degraded), truth)
    after = whole_psnr(deconvolution(cases, 64)("motion", faces.faces, degraded).images, truth)
    assert float((after - before).mean()) > 0.5
    assert find_preset("motion").blurs_alone
    assert not find_preset("cctv").blurs_alone
    assert not find_preset("clean").blurs_alone


def test_rank_one_is_the_nearest_in_the_gallery() -> None:
    gallery = torch.eye(3)
    probes = torch.tensor([[0.9, 0.1, 0], [0.1, 0.2, 0.9], [torch.nan, 0, 0]])
    found = rank_one_of(probes, gallery, ["a", "b", "c"], ["a", "b", "c"])
    assert found[:2].tolist() == [1, 0]
    assert np.isnan(found[2])


def test_the_gallery_has_one_photo_of_each_of_the_people(tiny_manifest: Manifest) -> None:
    faces = evaluation_faces(tiny_manifest, "train", 8)
    people = ["a", "a", "b", "c", "c", "c", "d", "e"]
    faces = replace(faces, rows=faces.rows.assign(identity=people))
    gallery, probes = gallery_of(faces)
    assert sorted(people[index] for index in gallery) == ["a", "b", "c", "d", "e"]
    assert sorted(people[index] for index in probes) == ["a", "c", "c"]
    assert sorted(gallery + probes) == list(range(8))


def test_the_gate_measures_model_and_input_alike(
    undisturbed: TrainingResult, tiny_manifest: Manifest, cases: DegradedCases
) -> None:
    values = settings_of(promotion=QUICK).values(*get_task("restoration").fields["gate"])
    gate = get_task("restoration").gate(values, tiny_manifest, cases)
    scores = gate.measure(undisturbed.best)
    key = MetricKey(GATE, "lpips_vgg", "motion")
    assert scores.faces(key, MODEL) == scores.faces(key, INPUT)
    assert gate.rule.metric.name == "lpips_vgg"
    # too few people of two photos: whether they are recognised is not asked
    assert [guard.name for guard in gate.rule.guards] == ["PSNR no worse", "identity no worse"]
    shown = gate.compare(undisturbed.best, undisturbed.best)
    assert np.array_equal(shown["challenger"], shown["champion"])
    assert not np.array_equal(shown["challenger"], shown["degraded"])


def test_enough_people_of_two_photos_are_asked_after(
    undisturbed: TrainingResult, tiny_manifest: Manifest, cases: DegradedCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = tiny_manifest.faces.copy()
    faces.loc[faces["split"] == "gate", "identity"] = "one"
    manifest = replace(tiny_manifest, faces=faces)
    monkeypatch.setattr("facerecon.tasks.restoration.gate.FEWEST_RECOGNISED", 1)
    values = settings_of(promotion=QUICK).values(*get_task("restoration").fields["gate"])
    gate = get_task("restoration").gate(values, manifest, cases)
    assert gate.rule.guards[-1].against == INPUT
    assert gate.rule.guards[-1].metric.name == "rank1_sface"
    scores = gate.measure(undisturbed.best)
    assert len(scores.values(MetricKey(GATE, "rank1_sface", "motion"), MODEL)) == 1


def test_a_model_that_gives_no_numbers_is_told(
    undisturbed: TrainingResult, tiny_manifest: Manifest, cases: DegradedCases
) -> None:
    weights = dict(undisturbed.best.weights)
    weights["image_head.bias"] = torch.full_like(weights["image_head.bias"], torch.nan)
    broken = replace(undisturbed.best, weights=weights)
    task = get_task("restoration")
    with pytest.raises(FaceReconError, match="not finite"):
        task.evaluate(settings_of(evaluation=QUICK).values(*task.fields["evaluation"]), broken, tiny_manifest, cases)


def test_the_report_tells_of_it(
    evaluation: Evaluation, undisturbed: TrainingResult, make_story: Callable[..., Any], make_decision: Any
) -> None:
    from facerecon.report.model_card import render_model_card
    from facerecon.report.render import render_report

    settings = settings_of(name="tiny", data={"source": "folder", "path": "data/sample", "licence": "CC0"})
    decision = make_decision(gate_metric="lpips_vgg", gate_case="motion", means=(), differences=())
    story = make_story(
        settings=settings.model_dump(mode="json"),
        report=get_task("restoration").report,
        evaluation=evaluation,
        history=undisturbed.history,
        decision=decision,
        comparison={},
    )
    page, card = render_report(story), render_model_card(story)
    for text in ("Identity against LPIPS", "ridge regression", "motion", "deconvolution, true kernel", "Not measured"):
        assert text in page, text
    assert find_preset("cctv").source.replace("'", "&#39;") in page
    assert "output | `restoration`" in card
    assert "`mask`" not in card


def test_confidence_that_is_worth_nothing_is_told(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    report = get_task("restoration").report
    sure = details.confidence[0].model_copy(update={"brier": 0.3, "brier_constant": 0.2})
    fine = details.confidence[1].model_copy(update={"brier": 0.1, "brier_constant": 0.2})
    told = replace(evaluation, details=details.model_copy(update={"confidence": (sure, fine)}))
    (said,) = (each for each in report.shortfalls(told) if "confidence" in each)
    assert said == "confidence is no better than one constant guess (Brier score) under motion"
    told = replace(evaluation, details=details.model_copy(update={"confidence": (fine, fine)}))
    assert not [each for each in report.shortfalls(told) if "confidence" in each]


def test_parity_inputs_are_under_all_degradations(tiny_manifest: Manifest, cases: DegradedCases) -> None:
    faces = evaluation_faces(tiny_manifest, "val", 3)
    given = parity_inputs(tiny_manifest, cases, 3)["image"]
    assert given.shape == (3, 3, 64, 64)
    second = cases.images("cctv", faces)[1].transpose(2, 0, 1) / 127.5 - 1
    assert np.allclose(given[1], second, atol=1e-6)


def test_the_contract_gives_image_and_confidence(undisturbed: TrainingResult) -> None:
    with torch.inference_mode():
        restoration, confidence = contract(undisturbed.best)(torch.rand(1, 3, 50, 41) * 2 - 1)
    assert restoration.shape == (1, 3, 50, 41)
    assert restoration.abs().max() <= 1
    assert confidence.shape == (1, 1, 50, 41)
    assert 0 <= float(confidence.min()) <= float(confidence.max()) <= 1


def test_the_input_itself_gains_nothing(tiny_manifest: Manifest, cases: DegradedCases) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 10)
    degraded = cases.images("motion", faces)
    made = by(unchanged, 64)("motion", faces.faces, degraded)
    assert np.array_equal(made.images.permute(0, 2, 3, 1).numpy(), degraded)
