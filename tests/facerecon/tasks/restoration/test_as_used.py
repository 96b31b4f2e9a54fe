"""As used: the photograph is degraded as the crop was, and whoever is not found is counted."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerecon.corruption.degradations import degrade, degrade_photograph, draw
from facerecon.corruption.presets import PRESETS
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.geometry import cut
from facerecon.data.manifest import Manifest
from facerecon.evaluation.image_metrics import WHOLE_PSNR, identity, lpips
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.inference.photographs import photographs
from facerecon.randomness import generator
from facerecon.tasks.restoration.as_used import measure_as_used
from facerecon.tasks.restoration.baselines import by, unchanged
from facerecon.tasks.restoration.cases import CasesPart, DegradedCases, freeze
from facerecon.tasks.restoration.evaluator import Restore, measure
from facerecon.tasks.restoration.gate_settings import INPUT
from tests.facerecon.tasks.restoration.conftest import settings_of

JUDGES = Judges(lpips("alex"), identity("sface"))


@pytest.fixture(scope="module")
def faces(aligned: Manifest) -> EvaluationFaces:
    return evaluation_faces(aligned, "train", 4)


@pytest.fixture(scope="module")
def cases(aligned: Manifest, tmp_path_factory: pytest.TempPathFactory) -> DegradedCases:
    """Faces of the train split stand for a test split: the drawn ones are few."""
    manifest = replace(aligned, faces=aligned.faces.assign(split="test"))
    part = CasesPart.model_validate(
        settings_of(degradations={"evaluation": ["motion", "cctv"]}).values("degradations", "model")
    )
    return freeze(part, manifest, tmp_path_factory.mktemp("degraded"))


@pytest.fixture(scope="module")
def scores(faces: EvaluationFaces, cases: DegradedCases) -> Scores:
    methods: dict[str, Restore] = {MODEL: by(unchanged, 64), INPUT: by(unchanged, 64)}
    metrics = (WHOLE_PSNR, JUDGES.lpips, identity("sface"))
    return measure("test", dict.fromkeys(cases.presets, methods), faces, cases, metrics, JUDGES)


@pytest.mark.parametrize("preset", ["motion", "mild", "cctv"])
def test_a_photograph_is_degraded_as_its_crop_is(aligned: Manifest, faces: EvaluationFaces, preset: str) -> None:
    (chosen,) = list(photographs(faces, aligned, Counter()))
    for photo in chosen:
        drawn = draw(PRESETS[preset], 64, generator(photo.index))
        crop = degrade(faces.images[photo.index], drawn, generator(photo.index, "noise"))
        whole = degrade_photograph(photo.image, drawn, generator(photo.index, "noise"), photo.square.side)
        assert whole.shape == photo.image.shape
        again, _ = cut(whole, photo.square, 64)
        truth = faces.images[photo.index]
        # noise is drawn anew, so that errors are of one size and not the same
        error, of_crop = (np.abs(each.astype(int) - truth).mean() for each in (again, crop))
        assert 0.6 * of_crop < error < 1.7 * of_crop, (error, of_crop)
        if preset == "motion":
            assert np.abs(again.astype(int) - crop).mean() < 0.5 * of_crop


def test_a_method_that_changes_nothing_is_the_input(
    aligned: Manifest, faces: EvaluationFaces, cases: DegradedCases, scores: Scores
) -> None:
    rows, note = measure_as_used(by(unchanged, 64), 64, faces, cases, aligned, JUDGES, scores, "test")
    assert note == ""
    assert {(row.case, row.method, row.metric) for row in rows} == {
        (case, method, metric)
        for case in ("motion", "cctv")
        for method in (MODEL, INPUT)
        for metric in ("whole_psnr", "lpips_alex", "identity_sface")
    }
    for row in rows:
        assert row.faces == 4
        assert 0 <= row.not_found <= 4
        if row.found == 4 and row.method == INPUT:
            given = scores.values(MetricKey("test", row.metric, row.case), INPUT)
            assert row.before == pytest.approx(float(given.mean()))
            assert row.difference == pytest.approx(row.used - row.before)
    found = {row.found for row in rows if row.case == "motion"}
    assert min(found) >= 3, "nearly all drawn faces are found under motion blur"
    pairs = {(row.method, row.metric): row.used for row in rows if row.case == "motion"}
    # cut out, put back with soft edges and cut out again: nearly the input
    assert pairs[MODEL, "whole_psnr"] == pytest.approx(pairs[INPUT, "whole_psnr"], abs=1)


def test_photographs_that_are_gone_are_told(
    aligned: Manifest, faces: EvaluationFaces, cases: DegradedCases, scores: Scores, tmp_path: Path
) -> None:
    sources = {name: replace(source, root=str(tmp_path)) for name, source in aligned.sources.items()}
    moved = replace(aligned, sources=sources)
    rows, note = measure_as_used(by(unchanged, 64), 64, faces, cases, moved, JUDGES, scores, "test")
    assert rows == ()
    assert note == "4 of 4 faces: the photograph is gone"
