"""The table of the ablations of landmarks."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.landmarks import (
    CONTROL,
    METRICS,
    PERCEPTRON,
    PROBE,
    ROWS,
    compare,
    key_of,
    mean_shape,
    milliseconds,
    run_of,
    table,
    values_of,
)
from facerecon.evaluation.promotion import MODEL
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.tasks.landmarks.baselines import MEAN
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import DEPTH, NME

PRESETS = ["clean", "poor_video"]
PEOPLE = np.arange(20) // 2


@pytest.fixture
def args(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(state=tmp_path, conditions="5d" * 32, photos=tmp_path / "drawn", people=30)


def measured(args: argparse.Namespace, name: str, seed: int, value: float) -> dict[str, object]:
    """A run all of whose figures are ``value``, give or take what its faces differ by."""
    keys = [key_of(preset, MODEL, metric.name) for preset in (ALL, *PRESETS) for metric in METRICS]
    values = {key: value + np.linspace(-0.5, 0.5, 20) for key in keys}
    values |= {key.replace(f"/{MODEL}/", f"/{MEAN}/"): np.full(20, 15.0) for key in keys if DEPTH.name not in key}
    file = values_of(name, seed, args)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values, identities=PEOPLE)
    return {"seed": seed, "steps": 900, "ms": 0.5, "figures": {key: float(each.mean()) for key, each in values.items()}}


def results(args: argparse.Namespace, **values: float) -> dict[str, object]:
    by_name = {row.name: row for row in ROWS}
    rows = [
        {
            "name": name,
            "changes": by_name[name].changes,
            "beside": by_name[name].beside,
            "runs": [measured(args, name, 0, value)],
        }
        for name, value in values.items()
    ]
    result = {"conditions": {"presets": PRESETS}, "rows": rows}
    compare(result, args)
    return result


def test_every_row_is_a_run_that_settings_allow(args: argparse.Namespace) -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    made = {}
    for row in ROWS:
        assert "," not in row.name, "--rows has commas between them"
        settings = run_of(row, 3, PROBE, PROBE, args)
        assert (settings.seed, settings.training.steps, settings.task) == (3, PROBE, "landmarks")
        assert settings.data[0].path == str(args.photos)
        assert settings.data[0].draw is not None
        assert settings.data[0].draw.people == 30
        made[row.name] = settings
    assert len({settings.digest for settings in made.values()}) == len(ROWS), "each row changes something"
    refined = {name: settings.model.options.model_dump()["refine"] for name, settings in made.items()}
    assert refined == {**dict.fromkeys(refined, "none"), PERCEPTRON: "mlp", "graph": "graph"}
    assert {row.beside for row in ROWS} == {CONTROL, PERCEPTRON}


def test_the_graph_stands_beside_the_perceptron_and_all_else_beside_the_control(args: argparse.Namespace) -> None:
    result = results(args, **{CONTROL: 5.0, "wing": 4.0, PERCEPTRON: 4.8, "graph": 4.9})
    key = key_of(ALL, MODEL, NME.name)
    runs = {row["name"]: row["runs"][0] for row in result["rows"]}
    assert "gains" not in runs[CONTROL]
    for name, wanted in (("wing", -1.0), (PERCEPTRON, -0.2), ("graph", 0.1)):
        assert runs[name]["gains"][key] == pytest.approx([wanted] * 3), "every face differs by the same"
        assert not any(f"/{MEAN}/" in each for each in runs[name]["gains"])


def test_the_table_has_a_part_for_other_networks(args: argparse.Namespace) -> None:
    first, second = table(results(args, **{CONTROL: 5.0, "wing": 4.0, PERCEPTRON: 4.8})).split("\n\n")
    lines = first.splitlines()
    heads = "| learned otherwise | seed | mean NME | clean | poor_video | mean NME in 3D | mean depth RMSE | steps |"
    assert lines[0].startswith(heads)
    assert lines[2] == "| the mean shape |  | 15.00 | 15.00 | 15.00 | 15.00 |  |  |  |"
    assert lines[3] == "| control | 0 | 5.00 | 5.00 | 5.00 | 5.00 | 5.00 | 900 | 0.50 |"
    assert lines[4].startswith("| wing | 0 | 4.00 (-1.00 to -1.00) | 4.00 | 4.00 | 4.00 (-1.00 to -1.00) |")
    lines = second.splitlines()
    assert lines[3].startswith("| control | 0 | 5.00 |")
    assert lines[4].startswith("| MLP | 0 | 4.80 (-0.20 to -0.20) |")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("points alone", "| points alone | 0 | 5.00 | 5.00 | 5.00 | 5.00 |  | 900 | 0.50 |"),
        ("depth alone", "| depth alone | 0 |  |  |  |  | 5.00 | 900 | 0.50 |"),
    ],
)
def test_what_a_row_does_not_learn_is_not_told(args: argparse.Namespace, name: str, line: str) -> None:
    assert table(results(args, **{name: 5.0})).splitlines()[3] == line


@pytest.fixture
def untrained() -> TrainedModel:
    torch.manual_seed(0)
    weights = build_model("multitask", {"width": 8}).state_dict()
    weights["mean_shape"].copy_(torch.rand(68, 3))
    return TrainedModel("multitask", {"width": 8}, 64, 0, weights, task="landmarks")


def test_the_mean_shape_is_that_of_the_training(untrained: TrainedModel) -> None:
    found = mean_shape(untrained)(np.zeros((2, 64, 64, 3), np.uint8)).points
    np.testing.assert_allclose(found, np.repeat(64 * untrained.weights["mean_shape"].numpy()[None], 2, axis=0))


@pytest.mark.slow
def test_a_face_takes_time(untrained: TrainedModel) -> None:
    assert 0.05 < milliseconds(untrained) < 50
