"""The report of inpainting: one picture of all samples."""

from collections.abc import Callable

import numpy as np

from facerecon.evaluation.evaluation import Evaluation
from facerecon.tasks.inpainting.report import REPORT

Make = Callable[..., Evaluation]


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
