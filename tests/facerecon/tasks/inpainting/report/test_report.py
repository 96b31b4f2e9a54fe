"""The report of inpainting: lighting, and one picture of all samples."""

from collections.abc import Callable

import numpy as np

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores
from facerecon.tasks.inpainting.report import REPORT, lighting_groups

Make = Callable[..., Evaluation]


def test_lighting_by_level_and_brightness(make_evaluation: Make, spread: Callable[..., list[float]]) -> None:
    base = make_evaluation()
    dark = Scores()
    for key, method in base.scores:
        if key.face_set == "test":
            dark.add(key, method, base.scores.faces(key, method), base.scores.values(key, method))
    assert lighting_groups(make_evaluation(scores=dark), REPORT) == []
    faces = [f"face {number}" for number in range(12)]
    for condition, level, method, values in (
        ("bright", 2, "model", spread(18.5)),
        ("bright", 2, "telea", spread(19.0)),
        ("dark", 2, "telea", spread(16.0, infinite=1)),
        ("dark", 2, "model", spread(17.0)),
        ("dark", 1, "model", spread(None)),
        ("dark", 1, "telea", spread(None)),
        ("medium", 1, "model", spread(17.0)),
    ):
        dark.add(MetricKey(f"test_{condition}", "hole_psnr", "brush", level), method, faces, values)
    one, two = lighting_groups(make_evaluation(scores=dark), REPORT)
    assert (one.label, two.label) == ("level 1 (10-30 % hidden)", "level 2 (30-50 % hidden)")
    assert [(row.condition, row.luma, row.faces) for row in two.rows] == [
        ("dark", "0-85", 12),
        ("bright", "170-255", 12),
    ]
    assert [(row.model, row.telea, row.difference) for row in two.rows] == [
        ("17.00 ± 2.10", "16.00 ± 2.10 (1 × ∞)", "–"),
        ("18.50 ± 2.10", "19.00 ± 2.10", "−0.50"),
    ]
    assert [(row.model, row.telea, row.difference) for row in one.rows] == [("∞", "∞", "0.00")]


def test_the_sample_grid_has_five_columns_and_a_row_for_each_sample(make_evaluation: Make) -> None:
    evaluation = make_evaluation()
    samples, grid = evaluation.samples, REPORT.sample_grid(evaluation)
    assert grid.shape == (4 * 64, 5 * 64, 3)
    original, corrupted, ours, telea, error = (grid[64:128, 64 * k : 64 * (k + 1)] for k in range(5))
    hole = samples["mask"][1] == 1
    assert np.array_equal(original, samples["original"][1])
    assert np.array_equal(ours, samples["reconstructed"][1])
    assert np.array_equal(telea, samples["telea"][1])
    assert (corrupted[hole] == (255, 0, 255)).all()
    assert np.array_equal(corrupted[~hole], original[~hole])
    assert (error[~hole] == 0).all()
    assert error[hole].mean() > 100, "four times the error, 40 of 255"
