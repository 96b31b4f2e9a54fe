"""Inpainting with its known pixels disturbed: what is frozen, what is measured, and that nothing moves without it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerecon.corruption.frozen_robustness import RobustnessSettings
from facerecon.corruption.presets import ROBUSTNESS_PRESETS
from facerecon.corruption.settings import MaskSettings
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first, hole_psnr
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import ATTACKS, FROZEN_STEPS, Disturbed
from facerecon.models.trained import TrainingResult
from facerecon.tasks.inpainting.baselines import BASELINES
from facerecon.tasks.inpainting.cases import CasesPart, MaskCases, freeze, load
from facerecon.tasks.inpainting.evaluate import EvaluationPart, evaluate
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings as Chosen
from facerecon.tasks.inpainting.evaluator import as_tensor, mask_cases

MASKS = MaskSettings(count=8, evaluation_families=("brush",), evaluate_features=False)
QUICK: dict[str, Any] = {"lpips_backbone": "alex", "identity_network": "sface", "samples": 1, "as_used": 0}


def evaluated(trained: TrainingResult, manifest: Manifest, cases: MaskCases, robustness: bool) -> Evaluation:
    part = EvaluationPart(masks=MASKS, evaluation=Chosen(**QUICK, robustness=robustness))
    return evaluate(part, trained.best, manifest, cases)


@pytest.fixture(scope="module")
def cases(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> MaskCases:
    part = CasesPart(masks=MASKS, evaluation=RobustnessSettings(robustness=True, max_faces=10))
    return freeze(part, tiny_manifest, tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def evaluation(undisturbed: TrainingResult, tiny_manifest: Manifest, cases: MaskCases) -> Evaluation:
    return evaluated(undisturbed, tiny_manifest, cases, robustness=True)


def rows_of(evaluation: Evaluation, **wanted: Any) -> list[Disturbed]:
    details: Any = evaluation.details
    rows: tuple[Disturbed, ...] = details.robustness.rows
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def test_without_the_switch_nothing_is_frozen_and_nothing_told(
    undisturbed: TrainingResult, tiny_manifest: Manifest, cases: MaskCases, evaluation: Evaluation, tmp_path: Path
) -> None:
    without = freeze(CasesPart(masks=MASKS), tiny_manifest, tmp_path)
    assert not list(tmp_path.glob("jpeg*"))
    assert (without.description, without.digest) == (without.masks.description, without.masks.digest)
    assert without.digest == cases.digest, "what only is reported must train nothing anew"
    plain = evaluated(undisturbed, tiny_manifest, without, robustness=False)
    assert "robustness" not in plain.as_dict()["details"]
    assert plain.scores == evaluation.scores
    told = evaluation.as_dict()
    del told["details"]["robustness"]
    assert told == plain.as_dict()


def test_the_test_faces_are_frozen_and_read_back(tiny_manifest: Manifest, cases: MaskCases) -> None:
    assert cases.robustness is not None
    assert set(cases.robustness.presets) == set(ROBUSTNESS_PRESETS)
    faces = evaluation_faces(tiny_manifest, "test", 10)
    assert cases.robustness.presets["noise_5"].faces == tuple(sorted(faces.faces))
    assert load(cases.folder, cases.description) == cases


def test_the_switch_without_frozen_pixels_is_refused(
    undisturbed: TrainingResult, tiny_manifest: Manifest, cases: MaskCases
) -> None:
    with pytest.raises(FaceReconError, match="not frozen: run the pipeline again"):
        evaluated(undisturbed, tiny_manifest, MaskCases(cases.masks), robustness=True)


def test_every_step_has_a_row_for_model_and_telea(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    assert [(row.case, row.metric, row.method) for row in details.robustness.rows] == [
        (step.case, metric, method)
        for step in (*FROZEN_STEPS, *ATTACKS)
        for metric in ("hole_psnr", "lpips_alex", "identity_sface")
        for method in (MODEL, "telea")
    ]


def test_known_pixels_are_disturbed_and_the_hole_is_held_against_the_clear_face(
    evaluation: Evaluation, tiny_manifest: Manifest, cases: MaskCases
) -> None:
    faces = evaluation_faces(tiny_manifest, "test", 10)
    masks = mask_cases(faces, cases.masks, "brush")[1].masks
    assert cases.robustness is not None
    seen = cases.robustness.for_faces("jpeg_10", faces.faces)
    made = channels_first(BASELINES["telea"](seen, masks))
    values = hole_psnr(made, channels_first(faces.images), as_tensor(masks))
    (row,) = rows_of(evaluation, family="jpeg", level=10, metric="hole_psnr", method="telea")
    assert row.disturbed == pytest.approx(float(values.mean()))
    clean = evaluation.scores.values(MetricKey("test", "hole_psnr", "brush", 2), "telea")
    assert row.undisturbed == pytest.approx(clean.mean())


def test_an_attack_costs_the_network_more_than_noise_of_its_size(evaluation: Evaluation) -> None:
    for level in (1, 2, 4):
        attacked, noisy = (
            rows_of(evaluation, family=family, level=level, metric="hole_psnr", method=MODEL)[0]
            for family in ("pgd", "uniform")
        )
        assert attacked.undisturbed == noisy.undisturbed
        assert attacked.difference < min(noisy.difference, 0)


def test_trackers_keep_the_models_figures_under_names_of_their_own(evaluation: Evaluation) -> None:
    found = {str(key): value for key, value in evaluation.details.figures("test").items()}
    (row,) = rows_of(evaluation, family="pgd", level=4, metric="hole_psnr", method=MODEL)
    assert found["test/hole_psnr_disturbed/pgd_4"] == row.disturbed
    assert found["test/hole_psnr_disturbed_difference/pgd_4"] == row.difference
    assert not found.keys() & {str(key) for key in evaluation.scores.keys}
    assert np.isfinite(list(found.values())).all()
