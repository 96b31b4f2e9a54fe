"""The model beside its baselines, what the report says of it, the gate, and the exported file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerecon.contract import LANDMARKS
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import GATE, MODEL
from facerecon.export.onnx import export
from facerecon.models.trained import TrainingResult
from facerecon.tasks import get_task
from facerecon.tasks.landmarks.baselines import HOG, MEAN, MEDIAPIPE, PLACED
from facerecon.tasks.landmarks.cases import CasesPart, LandmarkCases, freeze
from facerecon.tasks.landmarks.details import Truth
from facerecon.tasks.landmarks.export import contract, parity_inputs
from facerecon.tasks.landmarks.report import curves
from tests.facerecon.tasks.landmarks.conftest import settings_of


def values(part: str, **given: Any) -> dict[str, Any]:
    return settings_of(**given).values(*get_task("landmarks").fields[part])


@pytest.fixture(scope="module")
def evaluation(
    undisturbed: TrainingResult, faces: Manifest, cases: LandmarkCases, monkeypatch_module: pytest.MonkeyPatch
) -> Evaluation:
    monkeypatch_module.setattr("facerecon.tasks.landmarks.evaluate.FITTED", 48)
    return get_task("landmarks").evaluate(
        values("evaluation", evaluation={"samples": 2}), undisturbed.best, faces, cases
    )


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def mean(evaluation: Evaluation, metric: str, case: str, method: str) -> float:
    found = evaluation.summary(metric, case, -1, method)
    assert found is not None
    assert found.mean is not None
    return found.mean


def test_every_method_stands_under_every_condition(evaluation: Evaluation) -> None:
    for case in ("clean", "low_resolution", "poor_light", "all_conditions"):
        methods = set(evaluation.scores.methods(MetricKey("test", "failure", case)))
        assert methods == {MODEL, MEAN, HOG, MEDIAPIPE}
        with_depth = set(evaluation.scores.methods(MetricKey("test", "depth_rmse", case)))
        # MediaPipe has a mean over all conditions of nobody: it finds no face in the dark
        assert with_depth - {MEDIAPIPE} == {MODEL, MEAN, PLACED}
    assert evaluation.headline == ("nme", "all_conditions")
    assert mean(evaluation, "nme", "clean", MEDIAPIPE) < 5, "clean faces are MediaPipe's"
    assert mean(evaluation, "nme", "clean", HOG) < mean(evaluation, "nme", "clean", MEAN)
    assert mean(evaluation, "nme", "poor_light", MEAN) == mean(evaluation, "nme", "clean", MEAN), "it sees nothing"


def test_who_is_not_found_is_told(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    assert details.not_found["clean"] == 0
    assert details.not_found["poor_light"] > 0.5
    said = " ".join(get_task("landmarks").report.beside_headline(evaluation))
    assert "MediaPipe finds no face in" in said
    assert "drawn faces are not photographs" in said
    shortfalls = " ".join(get_task("landmarks").report.shortfalls(evaluation))
    assert "under clean MediaPipe, crop enlarged has the smaller NME" in shortfalls


def test_curves_end_at_the_share_that_has_not_failed(evaluation: Evaluation) -> None:
    drawn = curves.curves(evaluation, "clean", "clean")
    methods = [method for method in evaluation.methods if method != PLACED]
    assert [curve.label for curve in drawn.curves] == [evaluation.methods[method] for method in methods]
    for curve, method in zip(drawn.curves, methods, strict=True):
        last = float(curve.path.split()[-1])
        share = 1 - mean(evaluation, "failure", "clean", method) / 100
        top, bottom = curves.TOP, curves.HEIGHT - curves.BOTTOM
        assert last == pytest.approx(bottom - share * (bottom - top), abs=0.1)


def test_pictures_are_of_the_frozen_crops(evaluation: Evaluation, cases: LandmarkCases) -> None:
    samples = evaluation.samples
    assert samples["kind"].tolist() == ["typical", "typical", "worst"]
    grid = get_task("landmarks").report.sample_grid(evaluation)
    assert grid is not None
    assert grid.shape == (3 * 256, 5 * 256, 3)
    np.testing.assert_array_equal(grid[:256:4, :256:4], samples["image"][0])


def test_of_photographs_agreement_is_told_and_no_depth(
    undisturbed: TrainingResult, without_truth: Manifest, tmp_path: Path, evaluation: Evaluation
) -> None:
    cases = freeze(CasesPart.model_validate(values("cases")), without_truth, tmp_path)
    found = get_task("landmarks").evaluate(values("evaluation"), undisturbed.best, without_truth, cases)
    said = " ".join(get_task("landmarks").report.beside_headline(found))
    assert "agreement with MediaPipe, not accuracy" in said
    assert found.details.truth is Truth.MEDIAPIPE  # type: ignore[attr-defined]
    assert not [key for key in found.scores.keys if key.metric == "depth_rmse"]
    assert MEDIAPIPE not in found.scores.methods(MetricKey("test", "nme", "clean")), "it would agree with itself"


def test_the_gate_asks_every_condition(undisturbed: TrainingResult, faces: Manifest, cases: LandmarkCases) -> None:
    gate = get_task("landmarks").gate(values("gate"), faces, cases)
    scores = gate.measure(undisturbed.best)
    for case in (*cases.presets, "all_conditions"):
        assert len(scores.values(MetricKey(GATE, "nme", case), MODEL)) == 2
    guards = [guard.name for guard in gate.rule.guards]
    assert guards[:3] == [f"NME under {case} no worse" for case in ("clean", "low_resolution", "poor_light")]
    assert guards[3:] == ["NME in 3D no worse", "failures no more", "depth no worse"]
    assert set(gate.identities.values()) == {"drawn-0-5"}


@pytest.mark.slow
def test_the_exported_file_gives_what_the_network_gives(
    undisturbed: TrainingResult, faces: Manifest, cases: LandmarkCases
) -> None:
    inputs = parity_inputs(faces, cases, 2)
    assert inputs["image"].shape == (2, 3, 64, 64)
    exported = export(contract(undisturbed.best), LANDMARKS, inputs, {}, min_parity=90)
    assert set(exported.report["parity_psnr"]) == {"landmarks", "depth", "confidence"}
