"""Restoration with its input disturbed: what is frozen, what is measured, and that nothing moves without the switch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.corruption.presets import ROBUSTNESS_PRESETS
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first, whole_psnr
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import ATTACKS, FROZEN_STEPS, Disturbed
from facerecon.models.trained import TrainedModel, TrainingResult
from facerecon.tasks import get_task
from facerecon.tasks.restoration.cases import CasesPart, DegradedCases, freeze, load
from facerecon.tasks.restoration.gate_settings import INPUT
from tests.facerecon.tasks.restoration.conftest import settings_of

TASK = get_task("restoration")
QUICK = {"lpips_backbone": "alex", "identity_network": "sface", "samples": 1, "as_used": 0}
EVALUATED = {"evaluation": ["motion", "cctv"]}


def frozen(manifest: Manifest, folder: Path, **evaluation: Any) -> DegradedCases:
    settings = settings_of(degradations=EVALUATED, evaluation=evaluation)
    return freeze(CasesPart.model_validate(settings.values(*TASK.fields["cases"])), manifest, folder)


def evaluated(model: TrainedModel, manifest: Manifest, cases: DegradedCases, **evaluation: Any) -> Evaluation:
    values = settings_of(degradations=EVALUATED, evaluation=QUICK | evaluation).values(*TASK.fields["evaluation"])
    return TASK.evaluate(values, model, manifest, cases)


@pytest.fixture(scope="module")
def steps(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> DegradedCases:
    return frozen(tiny_manifest, tmp_path_factory.mktemp("degraded"), robustness=True)


@pytest.fixture(scope="module")
def evaluation(undisturbed: TrainingResult, tiny_manifest: Manifest, steps: DegradedCases) -> Evaluation:
    return evaluated(undisturbed.best, tiny_manifest, steps, robustness=True)


def rows_of(evaluation: Evaluation, **wanted: Any) -> list[Disturbed]:
    details: Any = evaluation.details
    return [
        row for row in details.robustness.rows if all(getattr(row, name) == value for name, value in wanted.items())
    ]


def identity_network(trained: TrainedModel) -> TrainedModel:
    """The network with a head that adds nothing: what comes out is what went in."""
    weights = {
        name: torch.zeros_like(value) if "image_head" in name else value for name, value in trained.weights.items()
    }
    return replace(trained, weights=weights)


def test_without_the_switch_nothing_is_frozen_and_nothing_told(
    undisturbed: TrainingResult, tiny_manifest: Manifest, steps: DegradedCases, evaluation: Evaluation, tmp_path: Path
) -> None:
    without = frozen(tiny_manifest, tmp_path)
    assert not list(tmp_path.glob("jpeg*"))
    assert without.robustness is None
    assert set(without.description) == {"size", "scale", "seed", "files", "presets"}
    assert without.digest == steps.digest, "what only is reported must train nothing anew"
    plain = evaluated(undisturbed.best, tiny_manifest, without)
    assert "robustness" not in plain.as_dict()["details"]
    assert plain.scores == evaluation.scores
    told = evaluation.as_dict()
    del told["details"]["robustness"]
    assert told == plain.as_dict()


def test_the_test_faces_are_frozen_under_every_step(tiny_manifest: Manifest, steps: DegradedCases) -> None:
    assert steps.robustness is not None
    assert set(steps.robustness.presets) == set(ROBUSTNESS_PRESETS)
    faces = evaluation_faces(tiny_manifest, "test", 10)
    assert steps.robustness.presets["jpeg_10"].faces == tuple(sorted(faces.faces))
    assert np.array_equal(steps.robustness.for_faces("clean", faces.faces), faces.images)
    again = load(steps.folder, steps.description)
    assert again == steps
    (path,) = steps.folder.glob("h264_45*")
    moved = path.rename(path.with_suffix(".away"))
    with pytest.raises(FaceReconError, match="missing"):
        load(steps.folder, steps.description)
    moved.rename(path)


def test_where_old_and_new_faces_are_measured_apart_both_are_frozen(tiny_manifest: Manifest, tmp_path: Path) -> None:
    first, *others = sorted(tiny_manifest.split("test")["face"])
    apart = {
        "test_old": (first,),
        "test_new": tuple(others[:1]),
        "gate_old": tuple(tiny_manifest.split("gate")["face"]),
    }
    pixels = frozen(replace(tiny_manifest, face_sets=apart), tmp_path, robustness=True).robustness
    assert pixels is not None
    assert pixels.presets["jpeg_10"].faces == (first, others[0])


def test_the_switch_without_frozen_pixels_is_refused(
    undisturbed: TrainingResult, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(FaceReconError, match="not frozen: run"):
        evaluated(undisturbed.best, tiny_manifest, frozen(tiny_manifest, tmp_path), robustness=True)


def test_every_step_has_a_row_for_model_and_input(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    found = [(row.case, row.metric, row.method) for row in details.robustness.rows]
    metrics = ("whole_psnr", "lpips_alex", "identity_sface")
    assert found == [
        (step.case, metric, method)
        for step in (*FROZEN_STEPS, *ATTACKS)
        for metric in metrics
        for method in (MODEL, INPUT)
    ]


def test_a_row_is_of_the_frozen_pixels(evaluation: Evaluation, tiny_manifest: Manifest, steps: DegradedCases) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 10)
    assert steps.robustness is not None
    pixels = channels_first(steps.robustness.for_faces("jpeg_30", faces.faces))
    (row,) = rows_of(evaluation, family="jpeg", level=30, metric="whole_psnr", method=INPUT)
    assert row.disturbed == pytest.approx(float(whole_psnr(pixels, channels_first(faces.images)).mean()))
    assert row.undisturbed == pytest.approx(CEILING)
    assert row.difference == pytest.approx(row.disturbed - row.undisturbed)
    assert (row.faces, row.identities, row.low) == (3, 3, None)


def test_a_network_that_changes_nothing_has_the_inputs_rows(
    undisturbed: TrainingResult, tiny_manifest: Manifest, steps: DegradedCases
) -> None:
    evaluation = evaluated(identity_network(undisturbed.best), tiny_manifest, steps, robustness=True)
    for method, other in zip(rows_of(evaluation, method=MODEL), rows_of(evaluation, method=INPUT), strict=True):
        assert method.model_copy(update={"method": INPUT}) == other


def test_an_attack_costs_the_network_more_than_noise_of_its_size(evaluation: Evaluation) -> None:
    for level in (1, 2, 4):
        attacked, noisy = (
            rows_of(evaluation, family=family, level=level, metric="whole_psnr", method=MODEL)[0]
            for family in ("pgd", "uniform")
        )
        assert attacked.undisturbed == noisy.undisturbed
        assert attacked.difference < min(noisy.difference, 0)
    (row,) = rows_of(evaluation, family="pgd", level=1, metric="whole_psnr", method=MODEL)
    main = evaluation.scores.values(MetricKey("test", "whole_psnr", "motion"), MODEL)
    assert row.undisturbed == pytest.approx(main.mean()), "the attack is on the deciding degradation"


def test_trackers_keep_the_models_figures_under_names_of_their_own(evaluation: Evaluation) -> None:
    found = {str(key): value for key, value in evaluation.details.figures("test").items()}
    (row,) = rows_of(evaluation, family="h264", level=45, metric="lpips_alex", method=MODEL)
    assert found["test/lpips_alex_disturbed/h264_45"] == row.disturbed
    assert found["test/lpips_alex_disturbed_difference/h264_45"] == row.difference
    assert len(found) == 2 * len(rows_of(evaluation, method=MODEL))
    assert not found.keys() & {str(key) for key in evaluation.scores.keys}
