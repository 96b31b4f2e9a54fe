"""Drift: medians over people, of angles their size, and who lies above whom."""

import pandas as pd
import pytest

from facerecon.retraining.drift import COLUMNS, drift


def faces(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """Faces by source, person, brightness and yaw; all other measures are 0."""
    table = pd.DataFrame(rows, columns=["source", "identity", "brightness", "yaw"])
    return table.assign(**{name: 0.0 for name in COLUMNS if name not in table})


def test_a_person_counts_once_and_angles_by_their_size() -> None:
    table = faces(
        ("old", "a", 100.0, -20.0), ("old", "a", 120.0, 20.0), ("old", "b", 130.0, 10.0), ("old", "c", 90.0, -10.0),
        ("new", "d", 60.0, 30.0), ("new", "d", 62.0, -30.0), ("new", "e", 50.0, -40.0),
    )  # fmt: skip
    found = {row.measure: row for row in drift(table, "new")}
    assert (found["brightness"].old, found["brightness"].new, found["brightness"].effect) == (110.0, 55.5, -1.0)
    assert (found["yaw"].old, found["yaw"].new) == (10.0, 35.0)
    assert found["yaw"].effect == 1.0
    assert found["sharpness"].effect == pytest.approx(0.0), "all alike"


def test_with_nobody_on_one_side_there_is_none() -> None:
    assert drift(faces(("old", "a", 1.0, 1.0)), "new") == ()
