"""The model beside its baselines, what the report says of it, the gate, and the exported file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.contract import LANDMARKS
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import GATE, MODEL
from facerecon.evaluation.scores import Scores
from facerecon.export.onnx import export
from facerecon.models.trained import TrainingResult
from facerecon.report.model_card import render_model_card
from facerecon.report.render import render_report
from facerecon.report.story import Story
from facerecon.report.tables import set_lines
from facerecon.tasks import get_task
from facerecon.tasks.landmarks.as_used import measure_as_used
from facerecon.tasks.landmarks.baselines import HOG, MEAN, PLACED
from facerecon.tasks.landmarks.cases import CasesPart, LandmarkCases, freeze
from facerecon.tasks.landmarks.details import AS_USED, MEDIAPIPE, MTCNN, Truth
from facerecon.tasks.landmarks.evaluator import find_by_model, measured_faces
from facerecon.tasks.landmarks.export import contract, parity_inputs
from facerecon.tasks.landmarks.network import network_of
from facerecon.tasks.landmarks.report import curves
from facerecon.tasks.landmarks.report.shape import tables as shape_tables
from facerecon.tasks.landmarks.shape import MEAN_FACE, MEDIAPIPE_FIT
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


def test_the_shape_in_3d_stands_beside_the_mean_face(evaluation: Evaluation, make_story: Callable[..., Story]) -> None:
    for case in ("clean", "all_conditions"):
        key = MetricKey("test", "vertex_error", case)
        methods = {MODEL, MEAN_FACE, MEDIAPIPE, MEDIAPIPE_FIT}
        # of all conditions MediaPipe's is nobody's: it finds no face in the dark
        assert set(evaluation.scores.methods(key)) >= (methods if case == "clean" else {MODEL, MEAN_FACE})
    (told,) = evaluation.details.shapes  # type: ignore[attr-defined]
    assert [row.case for row in told.rows] == ["clean", "low_resolution", "poor_light"]
    assert told.exact < mean(evaluation, "vertex_error", "clean", MEAN_FACE)
    report = get_task("landmarks").report
    story = make_story(evaluation=evaluation, report=report, settings=settings_of().model_dump(mode="json"))
    section = render_report(story).partition('<section id="shape">')[2].partition("</section>")[0]
    assert f"Fitted to the exact points the error is {told.exact:.2f} mm" in section
    assert "flatter each other" in section
    assert "sees 50° over the longer side is assumed" in section
    assert section.count("<img") == 2 * 8, "each typical face and the true one from three sides"
    assert "### Shape in 3D" in render_model_card(story)


def test_shares_of_the_mean_faces_error_are_of_the_same_faces(evaluation: Evaluation) -> None:
    scores, names = Scores(), [f"face {number}" for number in range(4)]
    for case in ("clean", "low_resolution", "poor_light"):
        key = MetricKey("test", "vertex_error", case)
        scores.add(key, MODEL, names, [2.0, 2.0, 2.0, 2.0])
        scores.add(key, MEAN_FACE, names, [4.0, 2.0, 2.0, 2.0])
        if case == "clean":
            scores.add(key, MEDIAPIPE, names[:1], [6.0])
    (table,) = shape_tables(replace(evaluation, scores=scores), evaluation.details)  # type: ignore[arg-type]
    assert table.lines[0].cells == ("2.50", "6.00 (1.50, 1 of 4)", "–", "2.00 (0.80)")
    assert table.lines[1].cells == ("2.50", "–", "–", "2.00 (0.80)")


def test_photographs_are_measured_as_use_finds_them(evaluation: Evaluation) -> None:
    details: Any = evaluation.details
    (used,) = details.as_used
    assert (used.face_set, used.note) == ("test", "")
    rows = {(row.case, row.method): row for row in used.rows}
    assert set(rows) == {(case, method) for case in ("clean", "low_resolution", "poor_light") for method in AS_USED}
    assert {row.faces for row in used.rows} == {4}
    clear, dark = rows["clean", MEDIAPIPE], rows["poor_light", MEDIAPIPE]
    assert (clear.found, dark.found) == (4, 0)
    assert clear.used is not None
    assert clear.used < 5, "MediaPipe's points are near the drawn ones, where they were found"
    assert 0 < used.beside <= 4
    assert set(used.refused.values()) == {used.beside}
    # a network of four steps is sure of no face, which is as if none had been found
    assert rows["clean", MODEL].found == 0
    assert details.figures("test") == {
        MetricKey("test", "nme_as_used_not_found", case): 1.0 for case in ("clean", "low_resolution", "poor_light")
    }


def test_a_model_that_is_sure_is_measured_where_the_detector_saw_the_face(
    evaluation: Evaluation, undisturbed: TrainingResult, faces: Manifest, cases: LandmarkCases
) -> None:
    (measured,) = measured_faces(faces, cases, "test", 4)
    sure = undisturbed.best.weights | {"confidence_shift": torch.tensor(50.0)}
    find = find_by_model(network_of(replace(undisturbed.best, weights=sure)))
    used = measure_as_used(find, 64, measured, cases, faces, evaluation.scores, "test")
    assert set(used.refused.values()) == {0}
    rows = {(row.case, row.method): row for row in used.rows}
    for method in (MODEL, MTCNN):
        row = rows["clean", method]
        assert row.found == 4
        assert row.used is not None
        assert row.before is not None
        assert row.used < 1.5 * row.before, "the mean shape lies about the face"
        assert row.used - row.before == pytest.approx(row.difference)


def test_curves_end_at_the_share_that_has_not_failed(evaluation: Evaluation) -> None:
    drawn = curves.curves(evaluation, "clean", "clean")
    methods = [MODEL, MEAN, HOG, MEDIAPIPE]
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
    assert not [key for key in found.scores.keys if key.metric == "vertex_error"]
    assert [shape.exact for shape in found.details.shapes] == [None]  # type: ignore[attr-defined]
    (table,) = shape_tables(found, found.details)  # type: ignore[arg-type]
    assert not table.exact
    assert "nothing is told in mm" in " ".join(table.notes)
    assert MEDIAPIPE not in found.scores.methods(MetricKey("test", "nme", "clean")), "it would agree with itself"


def test_faces_of_another_truth_are_measured_apart(
    undisturbed: TrainingResult, mixed: Manifest, tmp_path: Path, monkeypatch_module: pytest.MonkeyPatch
) -> None:
    monkeypatch_module.setattr("facerecon.tasks.landmarks.evaluate.FITTED", 12)
    cases = freeze(CasesPart.model_validate(values("cases")), mixed, tmp_path)
    found = get_task("landmarks").evaluate(
        values("evaluation", evaluation={"samples": 2, "as_used": 1}), undisturbed.best, mixed, cases
    )
    details: Any = found.details
    assert details.truths == {"test": Truth.EXACT, "test_photographs": Truth.MEDIAPIPE}
    assert [(each.name, each.faces) for each in found.face_sets] == [("test", 4), ("test_photographs", 1)]
    assert {(row.face_set, row.case) for row in details.confidence} == {
        (name, case) for name in details.truths for case in cases.presets
    }
    drawn, photographs = details.as_used
    assert (drawn.face_set, photographs.face_set) == tuple(details.truths)
    assert {row.method for row in drawn.rows} == set(AS_USED)
    assert {row.method for row in photographs.rows} == set(AS_USED) - {MEDIAPIPE}, "it would agree with itself"
    depth = {key.face_set for key in found.scores.keys if key.metric == "depth_rmse"}
    assert depth == {"test"}, "of photographs no depth is known"
    report = get_task("landmarks").report
    assert report.sets_title(found) == "Faces of another truth"
    assert "agreement with MediaPipe" in report.set_note(found, "test_photographs")
    (line,) = set_lines(found, report)
    assert line.startswith("test_photographs, 1 face: NME ")
    assert line.endswith("they tell agreement with MediaPipe, not accuracy)")


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
