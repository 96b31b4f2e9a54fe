"""The manifest: its digest names the content, whatever the order and wherever the files lie."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest
from facerecon.errors import FaceReconError

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Manifests of one to five faces, aligned or not, with any names."""
    count, size = draw(st.integers(1, 5)), draw(st.sampled_from([0, 64, 128]))
    rows = [
        (f"{number:064x}", f"{draw(TEXT)}.png", f"{number:064x}", "folder", draw(TEXT), draw(st.sampled_from(SPLITS)))
        for number in draw(st.lists(st.integers(0, 2**64), min_size=count, max_size=count, unique=True))
    ]
    faces = pd.DataFrame(rows, columns=list(PHOTO_COLUMNS))
    if size:
        for name in FACE_COLUMNS:
            faces[name] = draw(st.floats(0, 100))
        faces["crop"] = faces["face"] + ".png"
        faces["crop_sha256"] = [f"{index:064x}" for index in range(count)]
    refused = pd.DataFrame(draw(st.lists(st.tuples(TEXT, TEXT), max_size=3)), columns=["uri", "reason"], dtype=str)
    return Manifest(root="/photos", faces=faces, quarantine=refused, store="/store" if size else "", size=size)


@given(manifests(), st.randoms())
def test_digest_does_not_depend_on_order_or_place(manifest: Manifest, random: Any) -> None:
    order = list(range(len(manifest.faces)))
    random.shuffle(order)
    shuffled = replace(
        manifest,
        root="s3://elsewhere",
        store="/other",
        faces=manifest.faces.iloc[order],
        quarantine=manifest.quarantine.iloc[::-1],
    )
    assert shuffled.digest == manifest.digest


@given(manifests(), st.data())
def test_digest_changes_with_any_content(manifest: Manifest, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(manifest.faces) - 1))
    column = data.draw(st.sampled_from([*PHOTO_COLUMNS, *(["crop_sha256"] if manifest.aligned else [])]))
    faces = manifest.faces.copy()
    faces.loc[row, column] += "x"
    more = pd.concat([manifest.faces, manifest.faces.iloc[[0]].assign(face="new")])
    refused = pd.concat([manifest.quarantine, pd.DataFrame({"uri": ["new"], "reason": ["blurred"]})])
    changes = [
        replace(manifest, faces=faces),
        replace(manifest, faces=more),
        replace(manifest, quarantine=refused),
        replace(manifest, faces=manifest.faces.iloc[1:]),
    ]
    assert manifest.digest not in [change.digest for change in changes]


@given(manifests())
@settings(max_examples=30)
def test_digest_survives_json(manifest: Manifest) -> None:
    # steps hand tables on as files: types that come back otherwise must not make another manifest
    faces = pd.DataFrame(json.loads(json.dumps(manifest.faces.to_dict("records"))))
    assert replace(manifest, faces=faces).digest == manifest.digest


def test_digest_changes_with_the_size() -> None:
    faces = pd.DataFrame([("f", "u", "s", "folder", "ada", "train", "c")], columns=[*PHOTO_COLUMNS, "crop_sha256"])
    digests = {Manifest("/", faces, size=size).digest for size in (0, 64, 128)}
    assert len(digests) == 3


def test_digest_of_fields_that_look_alike_when_joined() -> None:
    def digest(*values: str) -> str:
        return Manifest("/", pd.DataFrame([("face", *values, "train")], columns=list(PHOTO_COLUMNS))).digest

    assert len({digest("a,b", "s", "c", "i"), digest("a", "b,s", "c", "i"), digest('"a', "b", "s,c", "i")}) == 3
    assert digest("a\nface", "s", "c", "i") != digest("a", "face\ns", "c", "i")


def small() -> Manifest:
    rows = [(f"f{n}", f"{n}.png", f"f{n}", "folder", f"p{n // 2}", SPLITS[n % 2]) for n in (3, 0, 2, 1)]
    return Manifest("/photos", pd.DataFrame(rows, columns=list(PHOTO_COLUMNS)))


def test_a_split_is_in_order_of_the_faces_names() -> None:
    rows = small().split("val")
    assert rows["face"].tolist() == ["f1", "f3"]
    assert rows.index.tolist() == [0, 1]
    assert len(small().split("test")) == 0


def test_counts() -> None:
    assert small().counts() == {"train": 2, "val": 2, "gate": 0, "test": 0, "identities": 2, "quarantined": 0}


def test_not_aligned_without_a_size() -> None:
    assert not small().aligned
    assert replace(small(), size=64).aligned


def test_a_manifest_cannot_be_assigned_to() -> None:
    with pytest.raises(AttributeError):
        small().size = 64  # type: ignore[misc]


def test_missing_crops_are_counted_and_the_first_named(tmp_path: Path) -> None:
    faces = small().faces.assign(crop=["ab/3.png", "ab/0.png", "ab/2.png", "ab/1.png"])
    manifest = replace(small(), faces=faces, store=str(tmp_path), size=64)
    (tmp_path / "ab").mkdir()
    for name in ("3", "1", "2"):
        manifest.crop_path(f"ab/{name}.png").touch()
    with pytest.raises(FaceReconError, match=rf"^1 aligned crops are missing from {tmp_path} \(first: ab/0.png\): run"):
        manifest.check_crops()
    manifest.crop_path("ab/0.png").touch()
    manifest.check_crops()


def test_digest_is_this_one() -> None:
    # it names caches and checkpoints and stands in published tables
    faces = pd.DataFrame([("f" * 64, "ada/1.png", "f" * 64, "folder", "ada", "train")], columns=list(PHOTO_COLUMNS))
    assert Manifest("/photos", faces).digest == "026b118400ac050688fe1ec711f80af4db4286cdac7bff6d21e2118b83ed073f"
    assert np.array_equal(Manifest("/photos", faces).quarantine.columns, ["uri", "reason"])
