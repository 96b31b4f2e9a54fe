"""The tables that suites look at, made from a manifest."""

import pandas as pd

from facerecon.data import duplicates
from facerecon.data.duplicates import Guarded
from facerecon.data.lighting import LIGHTING, within
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest
from facerecon.data.quarantine import Code

TABLES = {
    "faces": (*PHOTO_COLUMNS, *FACE_COLUMNS),
    "photos": ("uri", "sha256", "split", "faces"),
    "identities": ("identity", "splits", "photos", "faces"),
    "tracks": ("track", "clip", "splits", "identities", "faces"),
    "splits": ("split", "identities", "photos", "faces"),
    "lighting": ("split", "condition", "identities", "faces", "share", "share_of_all", "difference"),
    "near_duplicates": duplicates.COLUMNS,
    "totals": ("photos", "identities", "quarantined", "near_duplicates", "share_of_faces_found"),
}
"""Their columns. ``splits``, ``photos``, ``identities`` and ``faces`` are numbers where they are not the table's own.

``photos`` has a row for each photo that has faces, ``identities``, ``tracks`` and ``splits`` one for each of these,
``lighting`` for each split and condition (``difference`` is that of its share from the share among all faces),
``near_duplicates`` for each confirmed pair that is still in two splits, and ``totals`` has one. Of several sources
photos, clips and tracks have the source's name before theirs, but for those in ``faces``.
"""

_NOT_FOUND = (Code.NO_FACE, Code.NO_FACE_AT_ANCHOR, Code.SEVERAL_FACES)


def tables(guarded: Guarded) -> dict[str, pd.DataFrame]:
    """The tables by name; ``faces`` has whatever columns the manifest has."""
    manifest = guarded.manifest
    apart = {column: manifest.names(column) for column in ("uri", "clip", "track")}
    faces = manifest.faces.assign(**apart).reset_index(drop=True)
    made = {
        "faces": manifest.faces.reset_index(drop=True),
        "photos": _counted(faces, ["uri"], sha256=("sha256", "first"), split=("split", "first")),
        "identities": _counted(faces, ["identity"], splits=("split", "nunique"), photos=("uri", "nunique")),
        "tracks": _counted(
            faces[faces["track"] != ""],
            ["track", "clip"],
            splits=("split", "nunique"),
            identities=("identity", "nunique"),
        ),
        "splits": _per_split(faces),
        "lighting": _lighting(faces),
        "near_duplicates": guarded.remaining,
        "totals": _totals(guarded),
    }
    return made | {name: made[name][list(columns)] for name, columns in TABLES.items() if name != "faces"}


def _counted(faces: pd.DataFrame, by: list[str], **columns: tuple[str, str]) -> pd.DataFrame:
    return faces.groupby(by, as_index=False).agg(**columns, faces=("face", "size"))


def _per_split(faces: pd.DataFrame) -> pd.DataFrame:
    """One row for each split, those without faces included."""
    groups = faces.groupby("split")
    counted = pd.DataFrame(
        {
            "identities": groups["identity"].nunique(),
            "photos": groups["uri"].nunique(),
            "faces": groups.size(),
        }
    )
    return counted.reindex(list(SPLITS), fill_value=0).rename_axis("split").reset_index()


def _lighting(faces: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for condition, low, high in LIGHTING:
        such = within(faces["brightness"], low, high)
        overall = float(such.mean()) if len(faces) else 0.0
        for split, group in faces.groupby("split"):
            share = float(such[group.index].mean())
            people = group["identity"].nunique()
            rows.append((split, condition, people, len(group), share, overall, abs(share - overall)))
    return pd.DataFrame(rows, columns=list(TABLES["lighting"]))


def _totals(guarded: Guarded) -> pd.DataFrame:
    manifest: Manifest = guarded.manifest
    photos = int(manifest.names().nunique())
    # a near-duplicate was quarantined, but its face was found
    duplicate = int(guarded.pairs["uri"].nunique())
    missing = int(manifest.quarantine["code"].isin([code.value for code in _NOT_FOUND]).sum())
    found = (photos + duplicate) / max(1, photos + duplicate + missing)
    row = (photos, int(manifest.faces["identity"].nunique()), len(manifest.quarantine), duplicate, found)
    return pd.DataFrame([row], columns=list(TABLES["totals"]))
