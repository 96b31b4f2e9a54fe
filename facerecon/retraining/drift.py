"""How new faces differ from old ones in what was measured of them. It is told and decides nothing.

A row a person, not a frame: frames of one person are alike, and tests over frames call every batch drifted.
"""

import numpy as np
import pandas as pd

from facerecon.settings import Settings

COLUMNS = ("eyes", "sharpness", "brightness", "yaw", "pitch", "roll")
"""Of ``facerecon.data.store.MEASURES``; of angles their size counts."""

_ANGLES = ["yaw", "pitch", "roll"]


class Drift(Settings):
    """One measure: medians over old and new people, and Cliff's delta, -1 (all new below all old) to 1 (above)."""

    measure: str
    old: float
    new: float
    effect: float


def drift(faces: pd.DataFrame, new_source: str) -> tuple[Drift, ...]:
    """The measures of the people of ``new_source`` beside those of all others; () where one of both has nobody.

    ``faces`` are a manifest's. A person's measure is the median over their faces.
    """
    measured = faces[[*COLUMNS]].copy()
    measured[_ANGLES] = measured[_ANGLES].abs()
    people = measured.groupby([faces["source"] == new_source, faces["identity"]]).median()
    sides = people.index.get_level_values(0).to_numpy(bool)
    if sides.all() or not sides.any():
        return ()
    rows = []
    for name in COLUMNS:
        new, old = people.loc[sides, name].to_numpy(), people.loc[~sides, name].to_numpy()
        below, above = np.searchsorted(np.sort(old), new, "left"), np.searchsorted(np.sort(old), new, "right")
        effect = float((below + above).mean() / len(old) - 1)
        rows.append(
            Drift(
                measure=name,
                old=round(float(np.median(old)), 3),
                new=round(float(np.median(new)), 3),
                effect=round(effect, 3),
            )
        )
    return tuple(rows)
