"""The packed store: what is written is read, in any order, by any process; removing a photo leaves the others."""

import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facerecon.data.quarantine import Code, Refusal
from facerecon.data.store import MEASURES, AlignedFace, AlignedPhoto, FaceStore, Measures, face_name
from facerecon.errors import FaceReconError
from facerecon.files import arrays_digest, sha256_bytes, sha256_file


def make_face(seed: int, parts: bool = False) -> AlignedFace:
    rng = np.random.default_rng(seed)
    light = {"light": rng.random(3, np.float32), "lamps": np.array(seed), "depth": rng.random((2, seed % 4))}
    return AlignedFace(
        crop=rng.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        five=rng.random((5, 2), np.float32),
        sixty_eight=rng.random((68, 2), np.float32),
        all478=rng.random((478, 3), np.float32),
        phash=rng.integers(0, 256, 8, dtype=np.uint8),
        parts=rng.integers(0, 19, (8, 8), dtype=np.uint8) if parts else np.zeros((8, 8), np.uint8),
        measures=Measures(*rng.random(len(MEASURES)).tolist()),
        truth=light if seed % 3 else {},
    )


def make_photo(number: int, faces: int = 1, parts: bool = False) -> AlignedPhoto:
    made = [make_face(100 * number + index, parts) for index in range(faces)]
    return AlignedPhoto(sha256_bytes(bytes([number])), None if faces else Refusal(Code.NO_FACE, "no face found"), made)


def same(one: AlignedPhoto, other: AlignedPhoto) -> None:
    np.testing.assert_equal(asdict(one), asdict(other))


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[int]], parts: bool
) -> None:
    folder = tmp_path_factory.mktemp("store")
    photos, number = [], 0
    for counts in shards:
        written = [make_photo(number + index, count, parts) for index, count in enumerate(counts)]
        number += len(counts)
        shard = FaceStore.write(folder, written)
        assert shard.stem == sha256_file(shard)
        photos += written
    store = FaceStore(folder)
    assert len(store) == len(photos)
    for photo in photos:
        assert photo.sha256 in store
        assert store.refusal(photo.sha256) == photo.refusal
        same(store.photo(photo.sha256), photo)
    names = [face_name(photo.sha256, index) for photo in photos for index in range(len(photo.faces))]
    faces = [face for photo in photos for face in photo.faces]
    columns = store.columns(names[::-1])
    assert columns["crop_sha256"] == [sha256_bytes(face.crop.tobytes()) for face in faces[::-1]]
    assert columns["phash"] == [face.phash.tobytes().hex() for face in faces[::-1]]
    assert columns["yaw"] == [face.measures.yaw for face in faces[::-1]]
    assert store.crops(names, 8).shape == (len(names), 8, 8, 3)


def test_the_anchor_by_which_a_face_was_chosen_is_kept_with_it(tmp_path: Path) -> None:
    photos = [replace(make_photo(1), anchor=(12.345678901234567, 0.1)), make_photo(2)]
    photos.append(replace(make_photo(3, 0), anchor=(1.0, 2.0)))
    FaceStore.write(tmp_path, photos)
    for _ in ("written", "written anew without another"):
        store = FaceStore(tmp_path)
        assert store.anchor(photos[0].sha256) == (12.345678901234567, 0.1)
        assert store.anchor(photos[2].sha256) == (1.0, 2.0)
        same(store.photo(photos[0].sha256), photos[0])
        FaceStore.remove(tmp_path, {photos[1].sha256})
    FaceStore.write(tmp_path, [make_photo(4)])
    assert FaceStore(tmp_path).anchor(make_photo(4).sha256) is None


def test_equal_photos_give_an_equal_file(tmp_path: Path) -> None:
    one = FaceStore.write(tmp_path / "one", [make_photo(1), make_photo(2)])
    two = FaceStore.write(tmp_path / "two", [make_photo(1), make_photo(2)])
    assert (one.name, one.read_bytes()) == (two.name, two.read_bytes())


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1)])
    store = FaceStore(tmp_path)
    name = make_photo(1).sha256
    copy = pickle.loads(pickle.dumps(store))
    assert np.array_equal(copy.crop(name), store.crop(name))


def test_a_face_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1)])
    store, photo = FaceStore(tmp_path), make_photo(1).sha256
    assert store.holds(photo)
    for face in (f"{photo}-1", make_photo(2).sha256):
        assert not store.holds(face)
        with pytest.raises(FaceReconError, match=rf"^face {face} is missing from {tmp_path}: run the pipeline again"):
            store.crop(face)


def test_removed_photos_are_gone_from_every_shard_and_the_others_stay(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1, 2), make_photo(2), make_photo(3, 0)])
    FaceStore.write(tmp_path, [make_photo(4), make_photo(2)])  # two runs at once may align a photo twice
    FaceStore.write(tmp_path, [make_photo(5)])
    untouched = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    gone, crop = make_photo(2), make_photo(2).faces[0].crop.tobytes()
    assert any(crop in path.read_bytes() for path in tmp_path.iterdir())
    assert FaceStore.remove(tmp_path, {gone.sha256, "unknown"}) == 1
    store = FaceStore(tmp_path)
    assert gone.sha256 not in store
    for number, faces in ((1, 2), (3, 0), (4, 1), (5, 1)):
        same(store.photo(make_photo(number).sha256), make_photo(number, faces))
    assert not any(crop in path.read_bytes() for path in tmp_path.iterdir())
    assert sum(untouched.get(path) == path.stat().st_mtime_ns for path in tmp_path.iterdir()) == 1
    assert FaceStore.remove(tmp_path, {make_photo(5).sha256}) == 1
    assert len(list(tmp_path.iterdir())) == 2, "a shard of nobody is no shard"


def test_damaged_shards_are_dropped_and_whole_ones_are_not(tmp_path: Path) -> None:
    whole, damaged = (FaceStore.write(tmp_path, [make_photo(number)]) for number in (1, 2))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert FaceStore.drop_damaged(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [whole]
    assert FaceStore.drop_damaged(tmp_path) == 0


def test_a_shard_that_cannot_be_read_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1)]).write_bytes(b"short")
    with pytest.raises(FaceReconError, match=r"cannot be read \(.*\): run the pipeline again, it aligns them anew"):
        FaceStore(tmp_path)


def test_parts_are_there_only_where_the_source_has_them(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1, parts=True), replace(make_photo(2))])
    FaceStore.write(tmp_path, [make_photo(3)])
    store = FaceStore(tmp_path)
    labels = store.parts(make_photo(1).sha256)
    assert labels is not None
    assert np.array_equal(labels, make_photo(1, parts=True).faces[0].parts)
    assert store.parts(make_photo(3).sha256) is None


def test_truth_is_there_only_where_the_source_has_it(tmp_path: Path) -> None:
    FaceStore.write(tmp_path, [make_photo(1), make_photo(3)])
    store, face, without = FaceStore(tmp_path), make_photo(1).sha256, make_photo(3).sha256
    expected = make_photo(1).faces[0].truth
    for name, array in expected.items():
        np.testing.assert_array_equal(store.truth(face, name), array)
        assert store.truth(face, name).dtype == array.dtype
    assert store.truth_sha256(face) == arrays_digest(expected)
    assert store.truth_sha256(without) == ""
    with pytest.raises(FaceReconError, match=rf"^face {face} has no truth 'pose' beside it: .* depth, lamps, light$"):
        store.truth(face, "pose")
    with pytest.raises(FaceReconError, match=rf"^face {without} has no truth 'light' beside it: its source gave none$"):
        store.truth(without, "light")
