"""The table of restoration's ablations."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks.restoration import (
    ADVERSARY,
    DIGITS,
    FIRST,
    METRICS,
    NO_ADVERSARY,
    ON,
    PROBE,
    ROWS,
    SCRATCH,
    SHOWN,
    UNCOUNTED,
    _key,
    compare,
    run_of,
    table,
    values_of,
)
from facerecon.evaluation.promotion import MODEL
from facerecon.tasks.restoration.gate_settings import INPUT

PEOPLE = np.arange(20) // 2


@pytest.fixture
def args(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(state=tmp_path, conditions="5d" * 32, start="start@newest", size=64)


def measured(args: argparse.Namespace, name: str, seed: int, value: float) -> dict[str, object]:
    """A run all of whose figures are ``value``, give or take what its faces differ by."""
    values = {_key(preset, MODEL, place): value + np.linspace(-0.01, 0.01, 20) for preset, place in SHOWN}
    file = values_of(name, seed, args)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values, identities=PEOPLE)
    figures = {key: float(each.mean()) for key, each in values.items()}
    figures |= {_key(preset, INPUT, place): 0.5 for preset, place in SHOWN}
    told = {"discriminator_accuracy": 0.75, "adversarial_share": None}
    return {"seed": seed, "steps": 120, "figures": figures, **told}


def test_every_row_is_a_run_that_settings_allow(args: argparse.Namespace) -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    made = {}
    for row in ROWS:
        assert "," not in row.name, "--rows has commas between them"
        settings = run_of(row, 3, PROBE, PROBE, args)
        assert (settings.seed, settings.training.steps, settings.task) == (3, PROBE, "restoration")
        assert settings.training.init_from == ("start@newest" if row.config == ON else None)
        made[row.name] = settings
    assert len({settings.digest for settings in made.values()}) == len(ROWS), "each row changes something"
    assert made[NO_ADVERSARY].training.adversarial is None
    assert made[ADVERSARY].training.adversarial is not None


def test_a_run_stands_beside_the_first_row_with_its_seed(args: argparse.Namespace) -> None:
    result = {
        "rows": [
            {"name": FIRST[SCRATCH], "config": SCRATCH, "runs": [measured(args, FIRST[SCRATCH], 0, 0.9)]},
            {
                "name": NO_ADVERSARY,
                "config": ON,
                "runs": [measured(args, NO_ADVERSARY, seed, 0.3 + 0.1 * seed) for seed in (0, 1)],
            },
            {
                "name": ADVERSARY,
                "config": ON,
                "runs": [measured(args, ADVERSARY, seed, 0.2 + 0.3 * seed) for seed in (0, 1, 2)],
            },
        ]
    }
    compare(result, args)
    gains = [run["gains"][_key("motion", MODEL, 1)] for run in result["rows"][2]["runs"]]
    # seed 2 has no other of its own seed: it stands beside seed 0
    for (mean, low, high), wanted in zip(gains, (-0.1, 0.1, 0.5), strict=True):
        assert [mean, low, high] == pytest.approx([wanted] * 3), "every face differs by the same"
    assert all("gains" not in run for row in result["rows"][:2] for run in row["runs"])
    lines = table(result).splitlines()
    assert lines[2].startswith(f"| the input |  | {0.5:.{DIGITS[0]}f} | {0.5:.{DIGITS[1]}f} |")
    assert lines[3].startswith(f"| {FIRST[SCRATCH]} | 0 | 0.90 | 0.9000 |")
    assert lines[6].startswith("| adversary | 0 | 0.20 (-0.10 to -0.10) | 0.2000 (-0.1000 to -0.1000) |")
    assert lines[6].endswith("| 120 | 0.75 |  |")
    assert len(METRICS) == len(DIGITS)


def test_tables_of_other_conditions_keep_figures_of_their_own(args: argparse.Namespace) -> None:
    other = argparse.Namespace(**{**vars(args), "conditions": "e0" * 32})
    for name, value in ((FIRST[SCRATCH], 0.5), ("instance norm", 0.6)):
        result = {"name": name, "config": SCRATCH, "runs": [measured(args, name, 0, value)]}
        measured(other, name, 0, 0.9)
    compare({"rows": [{"name": FIRST[SCRATCH], "config": SCRATCH, "runs": [{"seed": 0}]}, result]}, args)
    assert result["runs"][0]["gains"][_key("motion", MODEL, 0)] == pytest.approx([0.1] * 3)


def test_each_loss_is_counted_as_often_as_it_comes(args: argparse.Namespace) -> None:
    for row in ROWS:
        losses = run_of(row, 0, PROBE + 1, PROBE + 1, args).training.losses
        for interval in (losses.perceptual_interval, losses.identity_interval):
            assert (PROBE - UNCOUNTED) % interval == 0


def test_a_part_without_its_first_row_has_no_differences(args: argparse.Namespace) -> None:
    result = {"rows": [{"name": ADVERSARY, "config": ON, "runs": [measured(args, ADVERSARY, 0, 0.2)]}]}
    compare(result, args)
    assert table(result).splitlines()[3].startswith("| adversary | 0 | 0.20 | 0.2000 |")
