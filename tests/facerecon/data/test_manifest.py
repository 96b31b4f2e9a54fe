"""The manifest: its digest names the content, whatever the order and wherever the files lie."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest, SourceRoot
from facerecon.data.quarantine import Code, Refusal, quarantine_table
from facerecon.data.store import MEASURES, AlignedFace, AlignedPhoto, FaceStore, Measures
from facerecon.errors import FaceReconError


def photo(face: str, **values: Any) -> dict[str, Any]:
    """A row of a photo that is no frame of a clip."""
    blank = dict.fromkeys(PHOTO_COLUMNS, "") | dict.fromkeys(("time", "anchor_x", "anchor_y"), math.nan)
    return {**blank, "face": face, "sha256": face, "source": "folder", "split": "train", "frame": -1, **values}


SOURCES = {"folder": SourceRoot("folder", "/photos")}
CODES = st.sampled_from(Code)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Manifests of one to five faces, aligned or not, with any names."""
    count, size = draw(st.integers(1, 5)), draw(st.sampled_from([0, 64, 128]))
    rows = [
        photo(
            f"{number:064x}",
            uri=f"{draw(TEXT)}.png",
            identity=draw(TEXT),
            split=draw(st.sampled_from(SPLITS)),
            licence=draw(TEXT),
            clip=draw(TEXT),
            frame=draw(st.integers(-1, 10**6)),
            time=draw(st.one_of(st.just(math.nan), st.floats(0, 1e6))),
        )
        for number in draw(st.lists(st.integers(0, 2**64), min_size=count, max_size=count, unique=True))
    ]
    faces = pd.DataFrame(rows, columns=list(PHOTO_COLUMNS))
    if size:
        for name in FACE_COLUMNS:
            faces[name] = draw(st.floats(0, 100))
        faces["crop_sha256"] = [f"{index:064x}" for index in range(count)]
    refused = quarantine_table(draw(st.lists(st.tuples(TEXT, TEXT, st.builds(Refusal, CODES, TEXT)), max_size=3)))
    return Manifest(faces, SOURCES, quarantine=refused, store="/store" if size else "", size=size)


@given(manifests(), st.randoms())
def test_digest_does_not_depend_on_order_or_place(manifest: Manifest, random: Any) -> None:
    order = list(range(len(manifest.faces)))
    random.shuffle(order)
    shuffled = replace(
        manifest,
        sources={"folder": SourceRoot("folder", "s3://elsewhere")},
        store="/other",
        faces=manifest.faces.iloc[order],
        quarantine=manifest.quarantine.iloc[::-1],
    )
    assert shuffled.digest == manifest.digest


@given(manifests(), st.data())
def test_digest_changes_with_any_content(manifest: Manifest, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(manifest.faces) - 1))
    named = [name for name in PHOTO_COLUMNS if name != "file"]  # where a frame is kept is not what it is
    column = data.draw(st.sampled_from([*named, *(["crop_sha256"] if manifest.aligned else [])]))
    faces = manifest.faces.copy()
    number = pd.api.types.is_numeric_dtype(faces[column])
    old = faces.loc[row, column]
    faces.loc[row, column] = (0.0 if pd.isna(old) else old + 1) if number else old + "x"
    more = pd.concat([manifest.faces, manifest.faces.iloc[[0]].assign(face="new")])
    new = quarantine_table([("folder", "new", Refusal(Code.TOO_SMALL, "blurred"))])
    refused = pd.concat([manifest.quarantine, new])
    changes = [
        replace(manifest, faces=faces),
        replace(manifest, faces=more),
        replace(manifest, quarantine=refused),
        replace(manifest, faces=manifest.faces.iloc[1:]),
        replace(manifest, truth="t"),
    ]
    assert manifest.digest not in [change.digest for change in changes]


@given(manifests(), st.data())
def test_digest_follows_codes_and_not_the_words_of_reasons(manifest: Manifest, data: st.DataObject) -> None:
    rows = len(manifest.quarantine)
    reasons = data.draw(st.lists(TEXT, min_size=rows, max_size=rows))
    order = data.draw(st.permutations(range(rows)))
    reworded = manifest.quarantine.assign(reason=reasons).iloc[list(order)]
    assert replace(manifest, quarantine=reworded).digest == manifest.digest
    if rows:
        row = data.draw(st.integers(0, rows - 1))
        changed = manifest.quarantine.copy()
        changed.loc[row, "code"] = data.draw(CODES.filter(lambda code: code != changed.loc[row, "code"])).value
        assert replace(manifest, quarantine=changed).digest != manifest.digest


@given(manifests())
@settings(max_examples=30)
def test_digest_survives_json(manifest: Manifest) -> None:
    # steps hand tables on as files: types that come back otherwise must not make another manifest
    faces = pd.DataFrame(json.loads(json.dumps(manifest.faces.to_dict("records"))))
    assert replace(manifest, faces=faces).digest == manifest.digest


def test_digest_changes_with_the_size() -> None:
    faces = pd.DataFrame([{**photo("f"), "crop_sha256": "c"}])
    digests = {Manifest(faces, size=size).digest for size in (0, 64, 128)}
    assert len(digests) == 3


def test_digest_of_fields_that_look_alike_when_joined() -> None:
    def digest(*values: str) -> str:
        named = dict(zip(("uri", "sha256", "source", "identity"), values, strict=True))
        return Manifest(pd.DataFrame([photo("face", **named)])).digest

    assert len({digest("a,b", "s", "c", "i"), digest("a", "b,s", "c", "i"), digest('"a', "b", "s,c", "i")}) == 3
    assert digest("a\nface", "s", "c", "i") != digest("a", "face\ns", "c", "i")


def small() -> Manifest:
    rows = [photo(f"f{n}", uri=f"{n}.png", identity=f"p{n // 2}", split=SPLITS[n % 2]) for n in (3, 0, 2, 1)]
    return Manifest(pd.DataFrame(rows))


def test_a_split_is_in_order_of_the_faces_names() -> None:
    rows = small().split("val")
    assert rows["face"].tolist() == ["f1", "f3"]
    assert rows.index.tolist() == [0, 1]
    assert len(small().split("test")) == 0


def test_counts() -> None:
    assert small().counts() == {"train": 2, "val": 2, "gate": 0, "test": 0, "identities": 2, "quarantined": 0}


def test_licences_are_counted_by_photo_where_photos_have_one() -> None:
    manifest = small()
    assert manifest.licences() == {}
    faces = manifest.faces.assign(licence=["BY", "", "BY-NC", "BY"])
    again = faces.assign(face=faces["face"] + "-1")  # a second face of the same photo
    assert replace(manifest, faces=pd.concat([faces, again])).licences() == {"BY": 2, "BY-NC": 1}


def test_not_aligned_without_a_size() -> None:
    assert not small().aligned
    assert replace(small(), size=64).aligned


def test_a_manifest_cannot_be_assigned_to() -> None:
    with pytest.raises(AttributeError):
        small().size = 64  # type: ignore[misc]


def test_missing_faces_are_counted_and_the_first_named(tmp_path: Path) -> None:
    manifest = replace(small(), store=str(tmp_path), size=64)

    def write(*names: str) -> None:
        pixels, points = np.zeros((64, 64, 3), np.uint8), np.zeros((478, 3), np.float32)
        measures = Measures(*[0.0] * len(MEASURES))
        parts, phash = pixels[..., 0], np.zeros(8, np.uint8)
        face = AlignedFace(pixels, points[:5, :2], points[:68, :2], points, phash, parts, measures)
        FaceStore.write(tmp_path, [AlignedPhoto(name, None, [face]) for name in names])

    write("f3", "f1", "f2")
    with pytest.raises(FaceReconError, match=rf"^1 aligned faces are missing from {tmp_path} \(first: f0\): run"):
        manifest.check_crops()
    write("f0")
    replace(manifest).check_crops()


def test_digest_is_this_one() -> None:
    # it names caches and checkpoints and stands in published tables
    faces = pd.DataFrame([photo("f" * 64, uri="ada/1.png", identity="ada")])
    assert Manifest(faces).digest == "e74c03ff8a0774cc9a5ba2a824eb92362aa6a5e4b1faba04e9ae2cd8bf0b2505"
    assert np.array_equal(Manifest(faces).quarantine.columns, ["source", "uri", "code", "reason"])


@given(manifests())
def test_face_sets_have_a_digest_of_their_own(manifest: Manifest) -> None:
    assert manifest.sets_digest == ""
    named = replace(manifest, face_sets={"gate_old": ("a", "b")})
    assert named.digest == manifest.digest
    assert replace(manifest, face_sets={"gate_old": ("b", "a")}).sets_digest == named.sets_digest
    assert replace(manifest, face_sets={"gate_old": ("a",)}).sets_digest != named.sets_digest
