"""Drift is told a person, not a frame, with an effect size."""

import numpy as np
import pandas as pd
import pytest

from facerecon.retraining.drift import COLUMNS, drift


def faces(people: dict[str, tuple[str, float, int]]) -> pd.DataFrame:
    """Rows of (source, brightness, frames) by person; all other measures are 1."""
    rows = [
        {**dict.fromkeys(COLUMNS, 1.0), "source": source, "identity": who, "brightness": value}
        for who, (source, value, frames) in people.items()
        for _ in range(frames)
    ]
    return pd.DataFrame(rows)


def found(table: pd.DataFrame, measure: str):
    return next(row for row in drift(table, "collected") if row.measure == measure)


def test_all_darker_is_an_effect_of_minus_one_and_the_same_is_none():
    table = faces(
        {f"o{n}": ("photos", 100 + n, 1) for n in range(5)} | {f"n{n}": ("collected", n, 3) for n in range(4)}
    )
    row = found(table, "brightness")
    assert (row.old, row.new, row.effect) == (102, 1.5, -1)
    assert found(table, "eyes").effect == 0


def test_a_person_with_many_frames_counts_once():
    people = {f"o{n}": ("photos", float(n), 1) for n in range(4)}
    one = faces(people | {"a": ("collected", 10.0, 1), "b": ("collected", -10.0, 1)})
    many = faces(people | {"a": ("collected", 10.0, 500), "b": ("collected", -10.0, 1)})
    assert drift(one, "collected") == drift(many, "collected")
    assert found(one, "brightness").effect == 0


def test_of_angles_the_size_counts():
    table = faces({"o": ("photos", 1.0, 1), "n": ("collected", 1.0, 1)})
    table["yaw"] = [20.0, -20.0]
    assert found(table, "yaw").effect == 0


@pytest.mark.parametrize("source", ["photos", "collected"])
def test_with_one_side_alone_there_is_nothing_to_tell(source: str) -> None:
    assert drift(faces({"a": (source, 1.0, 2)}), "collected") == ()


def test_the_effect_is_cliffs_delta():
    rng = np.random.default_rng(0)
    old, new = rng.integers(0, 8, 11), rng.integers(0, 8, 7)
    people = {f"o{n}": ("photos", float(v), 1) for n, v in enumerate(old)}
    people |= {f"n{n}": ("collected", float(v), 1) for n, v in enumerate(new)}
    pairs = np.sign(new[:, None] - old[None])
    assert found(faces(people), "brightness").effect == pytest.approx(pairs.mean(), abs=1e-3)
