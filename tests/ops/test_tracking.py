import math

import mlflow
import numpy as np
import pytest

from facerecon.config.run import RunSettings
from facerecon.evaluation.evaluate import Evaluation
from ops import tracking


def summary(mean):
    return {"mean": mean, "std": 0.0, "n": 2, "infinite": 0 if mean is not None else 2}


def row(method, family, level, psnr):
    return {"method": method, "family": family, "level": level, "hole_psnr": summary(psnr), "identity": summary(0.5)}


FIGURES = {"table": [row("model", "brush", 1, 20.0), row("model", "features/nose", None, None)]}
HISTORY = [
    {"step": 10, "loss/total": 2.0, "val/hole_l1": 0.3, "val/hole_psnr_level_1": 15.0},
    {"step": 20, "loss/total": 1.0, "val/hole_l1": 0.1, "val/hole_psnr_level_1": 19.0},
    {"step": 25, "loss/total": 1.0},
    {"step": 30, "loss/total": 0.5, "val/hole_l1": 0.2, "val/hole_psnr_level_1": 18.0},
]
SAMPLES = {
    "level": np.array([1, 2]),
    **{name: np.zeros((2, 8, 8, 3), np.uint8) for name in ("original", "reconstructed", "telea")},
    **{name: np.ones((2, 8, 8), np.uint8) for name in ("mask", "error", "confidence")},
}


def test_parameters_are_flat_and_complete():
    flat = tracking.flat_parameters(RunSettings())
    assert flat["training.losses.hole"] == 6.0
    assert flat["masks.levels"] == "1,2,3"
    assert not any(isinstance(value, dict) and value for value in flat.values())


def test_figures_have_steady_names_and_infinite_ones_are_left_out():
    flat = tracking.figure_metrics(FIGURES)
    assert flat["test/brush/level_1/model/hole_psnr"] == 20.0
    assert "test/features/nose/model/hole_psnr" not in flat
    assert flat["test/features/nose/model/identity"] == 0.5
    assert all(math.isfinite(value) for value in flat.values())


def test_best_values_are_those_of_the_best_checkpoint():
    assert tracking.best_metrics(HISTORY) == {"best_hole_l1": 0.1, "best_hole_psnr_level_1": 19.0, "best_step": 20}


def test_the_grid_shows_five_columns_and_the_hole_in_magenta():
    grid = tracking.sample_grid(SAMPLES)
    assert grid.shape == (16, 40, 3)
    assert (grid[0, 8] == [255, 0, 255]).all()


def test_a_run_ends_with_settings_figures_and_picture_in_mlflow(state):
    with mlflow.start_run() as run:
        tracking.log_settings(RunSettings(), {"config": "demo"})
        for point in HISTORY:
            tracking.log_row(point)
        tracking.log_figures(Evaluation(FIGURES, SAMPLES), HISTORY, {"gate_level_1": 20.5})
        tracking.log_grid(Evaluation(FIGURES, SAMPLES))
    client = mlflow.MlflowClient()
    data = client.get_run(run.info.run_id).data
    assert data.params["training.losses.hole"] == "6.0"
    assert data.metrics["best_hole_l1"] == 0.1
    assert data.metrics["gate_level_1"] == 20.5
    assert [p.step for p in client.get_metric_history(run.info.run_id, "val/hole_l1")] == [10, 20, 30]
    assert "grids" in {f.path for f in client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("empty", [[], [{"step": 1, "loss/total": 1.0}]])
def test_best_values_need_a_validation(empty):
    with pytest.raises(ValueError, match="min"):
        tracking.best_metrics(empty)
