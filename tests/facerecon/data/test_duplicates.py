"""Near-duplicates: copies across splits are found and the later one goes; people who look alike stay."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.duplicates import correlation, find_pairs, guard_splits, propose
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings, SplitShares
from facerecon.data.validation.settings import NearDuplicateSettings

DEFAULT = NearDuplicateSettings()


@pytest.fixture(scope="module")
def copied(sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Eight people in train; for each of four of them a copy of a photo that is called another's, in test."""
    folder = tmp_path_factory.mktemp("copied")
    photos = [sorted(person.iterdir())[0] for person in sorted(sample_faces.iterdir()) if person.is_dir()]
    for photo in photos:
        target = folder / f"a_{photo.parent.name}" / photo.name
        target.parent.mkdir()
        target.write_bytes(photo.read_bytes())
    for index, photo in enumerate(photos[:4]):
        image = cv2.imread(str(photo))
        margin = round(image.shape[0] * 0.02)
        cropped = np.ascontiguousarray(image[margin:-margin, margin:-margin])
        smaller = cv2.resize(image, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
        brighter = cv2.convertScaleAbs(image, alpha=1.2, beta=10)
        target = folder / f"b_{index}" / "copy.jpg"
        target.parent.mkdir()
        quality = 90 if index else 50
        cv2.imwrite(str(target), (image, cropped, smaller, brighter)[index], [cv2.IMWRITE_JPEG_QUALITY, quality])
    settings = DataSettings(path=str(folder), splits=SplitShares(train=1, val=0, gate=0, test=0))
    listed = ingest(settings, folder, tmp_path_factory.mktemp("frames"))
    found = align(listed, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))
    split = np.where(found.faces["identity"].str.startswith("b_"), "test", "train")
    return replace(found, faces=found.faces.assign(split=split))


def test_changed_copies_in_another_split_are_found_and_nothing_else(copied: Manifest) -> None:
    pairs = find_pairs(copied, DEFAULT)
    assert pairs["uri"].tolist() == [f"b_{index}/copy.jpg" for index in range(4)]
    originals = sorted(copied.faces["uri"][copied.faces["split"] == "train"])[:4]
    assert pairs["of"].tolist() == originals
    assert set(pairs["split"]) == {"test"}
    assert set(pairs["of_split"]) == {"train"}
    assert (pairs["correlation"] >= DEFAULT.min_correlation).all()
    assert (pairs["distance"] <= DEFAULT.max_distance).all()


def test_the_later_one_is_quarantined_with_its_reason_whatever_the_order_of_rows(copied: Manifest) -> None:
    guarded = guard_splits(copied, DEFAULT)
    gone = [f"b_{index}/copy.jpg" for index in range(4)]
    originals = sorted(copied.faces["uri"][copied.faces["split"] == "train"])[:4]
    assert sorted(guarded.manifest.faces["uri"]) == sorted(set(copied.faces["uri"]) - set(gone))
    assert guarded.manifest.quarantine.to_dict("records") == [
        {"source": "folder", "uri": uri, "code": "near_duplicate", "reason": f"near-duplicate of {of} in split train"}
        for uri, of in zip(gone, originals, strict=True)
    ]
    assert len(guarded.pairs) == 4
    assert guarded.remaining.empty
    shuffled = replace(copied, faces=copied.faces.sample(frac=1, random_state=1))
    assert guard_splits(shuffled, DEFAULT).manifest.digest == guarded.manifest.digest


def test_they_are_only_listed_if_the_settings_say_so(copied: Manifest) -> None:
    guarded = guard_splits(copied, NearDuplicateSettings(quarantine=False))
    assert guarded.manifest is copied
    assert len(guarded.remaining) == 4
    assert guarded.pairs.empty


def test_a_mirrored_copy_is_found(sample_faces: Path, landmark_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    people = [person for person in sorted(sample_faces.iterdir()) if person.is_dir()]
    for index, person in enumerate(people):
        image = cv2.imread(str(sorted(person.iterdir())[0]))
        (folder / f"a_{index}").mkdir(parents=True)
        cv2.imwrite(str(folder / f"a_{index}" / "photo.png"), image)
        if index < 4:
            (folder / f"b_{index}").mkdir()
            cv2.imwrite(str(folder / f"b_{index}" / "copy.jpg"), np.ascontiguousarray(image[:, ::-1]))
    settings = DataSettings(path=str(folder), splits=SplitShares(train=1, val=0, gate=0, test=0))
    found = align(
        ingest(settings, folder, tmp_path / "frames"), AlignmentSettings(workers=1), landmark_model, tmp_path / "store"
    )
    split = np.where(found.faces["identity"].str.startswith("b_"), "test", "train")
    apart = replace(found, faces=found.faces.assign(split=split))
    pairs = find_pairs(apart, DEFAULT)
    assert pairs["uri"].tolist() == [f"b_{index}/copy.jpg" for index in range(4)]
    assert pairs["of"].tolist() == [f"a_{index}/photo.png" for index in range(4)]
    assert (pairs["correlation"] >= DEFAULT.min_mirrored_correlation).all()
    assert find_pairs(apart, DEFAULT.model_copy(update={"min_mirrored_correlation": 1.0})).empty


def test_copies_in_one_split_stay(copied: Manifest) -> None:
    together = replace(copied, faces=copied.faces.assign(split="train"))
    assert guard_splits(together, DEFAULT).manifest is together


def test_a_copy_of_what_was_quarantined_stays(copied: Manifest) -> None:
    """a (train) = b (test) = c (val): b and c go. If a is not like c, c is only like b, which is gone."""
    a, b, c = copied.faces["uri"].drop_duplicates().tolist()[:3]
    pairs = pd.DataFrame(
        [(b, "test", a, "train", 0, 1.0), (c, "val", b, "test", 0, 1.0)],
        columns=["uri", "split", "of", "of_split", "distance", "correlation"],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facerecon.data.duplicates.find_pairs", lambda *_: pairs)
        gone = guard_splits(copied, DEFAULT).manifest.quarantine["uri"].tolist()
    assert gone == [b]


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sampled_from("ab")), max_size=200), st.integers(0, 32))
def test_the_proposed_pairs_are_those_of_a_plain_loop(rows: list[tuple[int, str]], most: int) -> None:
    hashes = np.array([value for value, _ in rows], dtype=np.uint64)
    groups = np.array([group for _, group in rows], dtype=object)
    plain = {
        (i, j, (rows[i][0] ^ rows[j][0]).bit_count())
        for j in range(len(rows))
        for i in range(j)
        if rows[i][1] != rows[j][1] and (rows[i][0] ^ rows[j][0]).bit_count() <= most
    }
    found = list(propose(hashes, groups, most))
    assert set(found) == plain
    assert len(found) == len(plain)


def test_pairs_are_found_across_the_borders_of_blocks() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, 10_000, dtype=np.uint64)
    hashes[9_999] = hashes[0] ^ np.uint64(7)
    hashes[8_192] = hashes[63]
    hashes[4_000] = hashes[2_000]
    groups = np.where(np.arange(10_000) % 2, "train", "test").astype(object)
    assert set(propose(hashes, groups, 3)) == {(0, 9_999, 3), (63, 8_192, 0)}


def test_correlation_is_one_for_the_same_whatever_its_brightness_and_none_for_one_colour() -> None:
    wide = cv2.resize(np.random.default_rng(0).integers(40, 200, (9, 9), dtype=np.uint8), (68, 68))
    crop, beside = wide[:64, :64], wide[3:67, 2:66]
    assert correlation(crop, crop) == pytest.approx(1, abs=1e-4)
    assert correlation(crop, cv2.convertScaleAbs(crop, alpha=0.5, beta=60)) > 0.99
    assert correlation(crop, beside) > 0.95
    assert correlation(crop, 255 - crop) < 0.5
    assert correlation(crop, np.full_like(crop, 90)) == 0
    assert correlation(np.zeros_like(crop), crop) == 0
