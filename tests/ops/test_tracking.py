from dataclasses import replace

import mlflow
import numpy as np
import pytest

from facerecon.data.collected.collection import Collection, TakenIn
from facerecon.data.validation.outcomes import DataDocs, Outcome
from facerecon.evaluation.comparison import Compared, Comparison
from facerecon.evaluation.evaluation import FaceSet
from facerecon.retraining.plan import Plan
from facerecon.run import parse_settings
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.details import AsUsed
from ops import curves, tracking

REPORT = get_task("inpainting").report
SAMPLES = {
    "level": np.array([1, 2]),
    **{name: np.zeros((2, 8, 8, 3), np.uint8) for name in ("original", "reconstructed", "telea")},
    **{name: np.ones((2, 8, 8), np.uint8) for name in ("mask", "error", "confidence")},
}


def settings(**parameters):
    return parse_settings(parameters, "test")


def test_parameters_are_flat_and_complete():
    flat = tracking.flat_parameters(settings())
    assert flat["training.losses.hole"] == 6.0
    assert flat["masks.levels"] == "1,2,3"
    assert flat["task"] == "inpainting"
    assert any(name.startswith("model.options.") for name in flat)
    assert not any(isinstance(value, dict) and value for value in flat.values())


def test_of_several_sources_each_ones_parameters_bear_its_name():
    several = {"data": [{"path": "photos"}, {"name": "door", "source": "footage", "path": "clips"}]}
    flat = tracking.flat_parameters(parse_settings(several, "test"))
    assert (flat["data.folder.path"], flat["data.door.path"]) == ("photos", "clips")
    assert flat["data.door.footage.min_face"] == 24


def test_figures_have_steady_names_and_infinite_ones_are_left_out(published_by):
    found = {str(key): value for key, value in tracking.figure_metrics(published_by.evaluation(20.0)).items()}
    assert found == {
        f"test/{name}/brush_level_{level}": value
        for level in (1, 2, 3)
        for name, value in (
            *((name, 0.5) for name in ("whole_psnr", "ssim", "lpips_vgg", "identity_dlib")),
            ("hole_psnr", 20.0 - level),
            ("gain_over_telea", 1.5),
        )
    }


def test_figures_as_used_have_names_of_their_own_and_stand_beside_the_headline(state, published_by):
    evaluation = published_by.evaluation(20.0)
    means = {"before": 19.0, "used": 18.0, "difference": -1.0}
    row = AsUsed(case="brush", level=2, method="model", faces=8, found=6, **means)
    details = evaluation.details.model_copy(update={"as_used": (row,), "as_used_note": ""})
    evaluation = replace(evaluation, details=details)
    with mlflow.start_run() as run:
        tracking.log_figures(evaluation, published_by.result(), published_by.decision(20.5))
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert {name: value for name, value in found.items() if "as_used" in name} == {
        "test/hole_psnr_as_used/brush_level_2": 18.0,
        "test/hole_psnr_as_used_difference/brush_level_2": -1.0,
        "test/hole_psnr_as_used_not_found/brush_level_2": 0.25,
    }
    assert found["test/hole_psnr/brush_level_2"] == 18.0, "as before"
    said = tracking.description(evaluation, published_by.decision(20.5), REPORT)
    assert "18.0 dB where it is 19.0 (−1.0); 2 of 8 times the face was not found" in said


def test_headline_figures_have_no_prefix_and_are_means_over_the_levels(published_by):
    found = tracking.headline_metrics(published_by.evaluation(20.0), list(published_by.history))
    assert found == {
        **dict.fromkeys(("whole_psnr", "ssim", "lpips_vgg", "identity_dlib"), 0.5),
        **{"hole_psnr": 18.0, "gain_over_telea": 1.5, "images_per_second": 29.0},
    }


def test_best_values_are_those_of_the_best_checkpoint(published_by):
    assert tracking.best_metrics(published_by.result()) == {
        **{"best/hole_l1/brush": 0.1, "best/hole_psnr/brush": 19.0},
        "best/step": 20,
    }


def test_gate_figures_that_are_not_finite_are_left_out(published_by):
    found = {str(key): value for key, value in tracking.gate_metrics(published_by.decision(20.5)).items()}
    assert found == {"gate/hole_psnr/brush_level_1": 20.5}


def test_gate_figures_of_each_face_set_have_its_name(published_by):
    decision = published_by.decision(20.5)
    means = [row.model_copy(update={"face_set": f"gate_{age}"}) for age in ("old", "new") for row in decision.means]
    found = tracking.gate_metrics(decision.model_copy(update={"means": tuple(means)}))
    assert {str(key) for key in found} == {f"gate_{age}/hole_psnr/brush_level_1" for age in ("old", "new")}


def test_a_run_ends_with_settings_figures_and_picture_in_mlflow(state, published_by):
    evaluation, result = published_by.evaluation(20.0, **SAMPLES), published_by.result()
    with mlflow.start_run() as run:
        tracking.log_settings(settings(), {"config": "demo"})
        for point in result.history:
            curves.log_row(point)
        tracking.log_figures(evaluation, result, published_by.decision(20.5))
        tracking.log_samples(evaluation, REPORT)
    client = mlflow.MlflowClient()
    data = client.get_run(run.info.run_id).data
    assert data.params["training.losses.hole"] == "6.0"
    assert data.metrics["best/hole_l1/brush"] == 0.1
    assert data.metrics["gate/hole_psnr/brush_level_1"] == 20.5
    assert data.metrics["hole_psnr"] == 18.0
    assert [p.step for p in client.get_metric_history(run.info.run_id, "val/hole_l1/brush")] == [10, 20]
    assert {"grids", "decision.json", "settings.yaml"} <= {f.path for f in client.list_artifacts(run.info.run_id)}
    stored = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/decision.json")
    assert stored == published_by.decision(20.5).model_dump(mode="json")


def test_run_and_version_are_described_by_the_table_and_the_decision(offer, published_by):
    decision = offer(1, 20.0)
    with mlflow.start_run() as run:
        tracking.describe(published_by.evaluation(20.0), decision, REPORT)
    client = mlflow.MlflowClient()
    text = client.get_run(run.info.run_id).data.tags["mlflow.note.content"]
    assert client.get_model_version("facerecon-demo", "1").description == text
    lines = text.splitlines()
    assert lines[0].startswith("Version 1 is champion: the first model")
    table = [line for line in lines if line.startswith("|")]
    assert "hole PSNR, dB ↑" in table[0]
    assert "LPIPS ↓" in table[0]
    assert any("model" in line and "19.00" in line for line in table)
    assert len({line.count("|") for line in table}) == 1, "every row has a cell for every column"


def test_best_values_need_a_validation(published_by):
    with pytest.raises(StopIteration):
        tracking.best_metrics(published_by.result([{"step": 1, "loss/total": 1.0}]))


def test_suites_are_one_parameter_that_differs_with_them():
    def parameter(suites):
        return tracking.flat_parameters(settings(validation={"suites": suites}))["validation.suites"]

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


def test_figures_of_face_sets_stand_apart_each_with_its_gain(published_by):
    one = published_by.evaluation(20.0)
    sets = tuple(FaceSet(name=f"test_{age}", faces=2, identities=2) for age in ("old", "new"))
    scores = one.scores.subset("test_old", ["face-0", "face-1"]) | one.scores.subset("test_new", ["face-1"])
    both = replace(one, scores=scores, face_sets=sets)
    found = {str(key): value for key, value in tracking.figure_metrics(both).items()}
    assert {name.split("/")[0] for name in found} == {"test_old", "test_new"}
    assert found["test_new/gain_over_telea/brush_level_2"] == 1.5
    assert found["test_new/gain_over_telea/brush_mean_over_levels"] == 1.5
    assert tracking.headline_metrics(both, [])["hole_psnr"] == 18.0


def test_gains_over_other_models_have_their_names_and_the_intervals_lower_end():
    row = {"metric": "hole_psnr", "case": "brush", "ours": 20.0, "theirs": 19.5, "gain": 0.5, "high": 0.9}
    rows = (Compared(level=None, low=0.2, **row), Compared(level=2, low=None, **row))
    found = tracking.comparison_metrics([Comparison(method="champion", other="demo/3", face_set="test_new", rows=rows)])
    name = "test_new/hole_psnr_gain_over_champion"
    assert {str(key): value for key, value in found.items()} == {
        f"{name}/brush_mean_over_levels": 0.5,
        f"{name}_low/brush_mean_over_levels": 0.2,
        f"{name}/brush_level_2": 0.5,
    }


def test_every_retraining_is_seen_in_mlflow_with_clips_by_name_and_people_by_number(state):
    plan = Plan(kind="nothing", reason="3 new people in train, 20 needed", parent="demo/2")
    collection = Collection(taken_in=(TakenIn(name="door.mp4", tracks=3, faces=9, poor=1),), joined=1)
    with mlflow.start_run() as run:
        tracking.log_retraining("demo", plan, collection)
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert (tags["retraining_kind"], tags["parent"], tags["clips"]) == ("nothing", "demo/2", "1")
    assert tags["retraining_decision"] == "no retraining: 3 new people in train, 20 needed"
    stored = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/retraining/collection.json")
    assert Collection.model_validate(stored) == collection
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/retraining/plan.json")["reason"] == plan.reason
