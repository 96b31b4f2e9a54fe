import math

import mlflow
import numpy as np
import pytest

from facerecon.data.validation.outcomes import DataDocs, Outcome
from facerecon.evaluation.evaluate import Evaluation
from facerecon.run import RunSettings
from ops import curves, tracking


def summary(mean):
    return {"mean": mean, "std": 0.0, "n": 2, "infinite": 0 if mean is not None else 2}


def row(method, family, level, psnr):
    others = dict.fromkeys(("whole_psnr", "ssim", "lpips", "identity"), summary(0.5))
    return {"method": method, "family": family, "level": level, "hole_psnr": summary(psnr), **others}


FIGURES = {
    "table": [
        row("model", "brush", 1, 20.0),
        row("telea", "brush", 1, 18.5),
        row("model", "features/nose", None, None),
        row("telea", "features/nose", None, 17.0),
    ],
    "confidence": {"rows": [{"family": "brush", "level": 1, "brier": 0.2}]},
}
HISTORY = [
    {"step": 10, "loss/total": 2.0, "val/hole_l1": 0.3, "val/hole_psnr_level_1": 15.0},
    {"step": 20, "loss/total": 1.0, "val/hole_l1": 0.1, "val/hole_psnr_level_1": 19.0},
    {"step": 25, "loss/total": 1.0},
    {"step": 30, "loss/total": 0.5, "val/hole_l1": 0.2, "val/hole_psnr_level_1": 18.0},
]
DECISION = {"challenger": {"brush/level_1": {"hole_psnr": 20.5, "lpips": math.inf}}}
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
    others = {f"test/{name}/brush_level_1": 0.5 for name in ("whole_psnr", "ssim", "lpips", "identity")}
    assert tracking.figure_metrics(FIGURES) == others | {
        "test/hole_psnr/brush_level_1": 20.0,
        "test/gain_over_telea/brush_level_1": 1.5,
        "test/brier/brush_level_1": 0.2,
    }


def test_a_model_that_does_not_say_how_sure_it_is_has_no_brier_score():
    assert not any("brier" in name for name in tracking.figure_metrics(FIGURES | {"confidence": None}))


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
            curves.log_row(point)
        tracking.log_figures(Evaluation(FIGURES, SAMPLES), HISTORY, DECISION)
        tracking.log_grid(Evaluation(FIGURES, SAMPLES))
    client = mlflow.MlflowClient()
    data = client.get_run(run.info.run_id).data
    assert data.params["training.losses.hole"] == "6.0"
    assert data.metrics["best_hole_l1"] == 0.1
    assert data.metrics["gate/hole_psnr/brush_level_1"] == 20.5
    assert [p.step for p in client.get_metric_history(run.info.run_id, "val/hole_l1")] == [10, 20, 30]
    assert "grids" in {f.path for f in client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("empty", [[], [{"step": 1, "loss/total": 1.0}]])
def test_best_values_need_a_validation(empty):
    with pytest.raises(ValueError, match="min"):
        tracking.best_metrics(empty)


def test_suites_are_one_parameter_that_differs_with_them():
    def parameter(suites):
        return tracking.flat_parameters(RunSettings(validation={"suites": suites}))["validation.suites"]

    assert parameter("configs/mine.yaml") == "configs/mine.yaml"
    assert parameter({"faces": [{"column": "yaw"}]}) != parameter({"faces": [{"column": "roll"}]})
    assert len(parameter({"faces": [{"column": "yaw"}] * 500})) == 64


def test_data_docs_stand_by_themselves_and_warnings_are_counted(state, tmp_path):
    folder = tmp_path / "outputs"
    for name in ("report.html", "data_docs/index.html", "plots/training.csv"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("x")
    warned = [Outcome("splits", f"expect({name})", False, "1 of 4 values", [], "warn") for name in "ab"]
    docs = DataDocs([Outcome("faces", "expect(c)", True, "", []), *warned], {})
    with mlflow.start_run() as run:
        tracking.log_data_docs(docs, folder)
        tracking.log_folder(folder)
    api = mlflow.MlflowClient()
    stored = api.get_run(run.info.run_id).data
    assert stored.metrics["data/warnings"] == 2
    said = "splits: expect(a) failed: 1 of 4 values; splits: expect(b) failed: 1 of 4 values"
    assert stored.tags["data_warnings"] == said
    assert [file.path for file in api.list_artifacts(run.info.run_id, "data_docs")] == ["data_docs/index.html"]
    published = {file.path for file in api.list_artifacts(run.info.run_id, "published")}
    assert published == {"published/report.html", "published/plots"}
