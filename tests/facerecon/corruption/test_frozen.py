"""Frozen evaluation masks: the same digest for ever, and the same mask for a face for ever."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerecon.corruption.frozen import FrozenMasks, build_mask_set, freeze, load_mask_set
from facerecon.corruption.masks import EVALUATION_FAMILIES, LEVELS
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes

FACES = [sha256_bytes(f"face {number}".encode()) for number in range(200)]


@pytest.mark.parametrize("family", EVALUATION_FAMILIES)
def test_same_seed_same_bytes(tmp_path: Path, family: str) -> None:
    here, there = (freeze(tmp_path / name, 2, family, 33, count=6, seed=5) for name in ("a", "b"))
    assert (tmp_path / "a" / here.file).read_bytes() == (tmp_path / "b" / there.file).read_bytes()
    assert here == there
    other = freeze(tmp_path / "a", 2, family, 33, count=6, seed=6)
    assert not np.array_equal(other.packed, here.packed)


@pytest.mark.parametrize("level", LEVELS)
def test_masks_are_those_of_their_level(tmp_path: Path, level: int) -> None:
    frozen = freeze(tmp_path, level, "brush", 64, count=32)
    low, high = LEVELS[level]
    for face in FACES[:50]:
        mask = frozen.for_face(face)
        assert mask.dtype == np.uint8
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) == {0, 1}
        assert low - 0.01 <= mask.mean() <= high + 0.01


def chosen(frozen: FrozenMasks, faces: list[str]) -> dict[str, bytes]:
    return {face: frozen.for_face(face).tobytes() for face in faces}


def test_the_hash_alone_chooses(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, 1, "boxes", 32, count=16)
    everyone = chosen(frozen, FACES)
    assert chosen(frozen, FACES[::-1]) == everyone
    assert chosen(frozen, FACES[50:60]).items() <= everyone.items()
    assert len(set(everyone.values())) == 16


def test_the_choice_differs_between_families(tmp_path: Path) -> None:
    """Otherwise a face with an easy mask in one family would have the easy one in all."""
    rows = []
    for family in ("boxes", "brush"):
        frozen = freeze(tmp_path, 1, family, 32, count=16)
        known = {np.unpackbits(row).tobytes(): index for index, row in enumerate(frozen.packed)}
        rows.append([known[frozen.for_face(face).tobytes()] for face in FACES])
    assert rows[0] != rows[1]


def test_an_existing_file_is_reused(tmp_path: Path) -> None:
    first = freeze(tmp_path, 1, "brush", 32, count=4)
    before = (tmp_path / first.file).stat()
    assert freeze(tmp_path, 1, "brush", 32, count=4) == first
    assert (tmp_path / first.file).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == [first.file]


def test_every_changed_byte_or_cut_file_is_refused(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, 1, "brush", 32, count=4)
    path = tmp_path / frozen.file
    whole = path.read_bytes()
    begin = whole.index(frozen.packed.tobytes())
    for broken in (
        whole[:begin] + bytes([whole[begin] ^ 1]) + whole[begin + 1 :],
        whole[: len(whole) // 2],
        b"",
        b"not masks",
    ):
        path.write_bytes(broken)
        with pytest.raises(FaceReconError, match="remove it"):
            freeze(tmp_path, 1, "brush", 32, count=4)


def test_a_rewritten_file_is_refused(tmp_path: Path) -> None:
    """The container is whole, but the masks are not those that were written."""
    frozen = freeze(tmp_path, 1, "brush", 32, count=4)
    about = np.load(tmp_path / frozen.file, allow_pickle=False)["about"]
    for packed in (frozen.packed[::-1], frozen.packed.reshape(2, -1), frozen.packed.view(np.int8)):
        np.savez(tmp_path / frozen.file, about=about, packed=packed)
        with pytest.raises(FaceReconError, match="other evaluation masks"):
            freeze(tmp_path, 1, "brush", 32, count=4)


def test_other_masks_under_the_name_are_refused(tmp_path: Path) -> None:
    wanted, other = (freeze(tmp_path, 1, "brush", 32, count=4, seed=seed) for seed in (0, 1))
    (tmp_path / wanted.file).write_bytes((tmp_path / other.file).read_bytes())
    with pytest.raises(FaceReconError, match="other evaluation masks"):
        freeze(tmp_path, 1, "brush", 32, count=4)


def test_a_set_survives_json(tmp_path: Path) -> None:
    built = build_mask_set(tmp_path, 32, ["brush", "scatter"], LEVELS, count=4)
    assert len(built.masks) == 6
    loaded = load_mask_set(tmp_path, json.loads(json.dumps(built.description)))
    assert loaded.digest == built.digest
    turned = {**built.description, "files": built.description["files"][::-1]}
    assert load_mask_set(tmp_path, turned).digest == built.digest
    for level in LEVELS:
        ours, theirs = (which.for_face(FACES[0], level, "scatter") for which in (built, loaded))
        assert np.array_equal(ours, theirs)
    with pytest.raises(FaceReconError, match="no noise level 1"):
        built.for_face(FACES[0], 1, "noise")


def test_the_digest_is_of_the_masks_not_of_the_order(tmp_path: Path) -> None:
    def digest(folder: str, families: list[str], **options: int) -> str:
        return build_mask_set(tmp_path / folder, 32, families, [1], **{"count": 4, **options}).digest

    first = digest("a", ["brush", "boxes"])
    assert digest("b", ["boxes", "brush", "boxes"]) == first
    assert digest("a", ["boxes"]) != first
    assert digest("a", ["brush", "boxes"], seed=1) != first
    assert digest("a", ["brush", "boxes"], count=5) != first


def rewrite(path: Path, arrays: dict[str, Any]) -> None:
    """Store arrays as another Python or NumPy may: compressed, with other times in the zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), version=(2, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (2026, 11, 29, 0, 0, 0)), content.getvalue())


def test_the_digest_is_of_the_masks_not_of_the_container(tmp_path: Path) -> None:
    built = build_mask_set(tmp_path, 32, ["brush"], [1], count=4)
    path = tmp_path / built.masks[1, "brush"].file
    before, arrays = path.read_bytes(), dict(np.load(path, allow_pickle=False))
    rewrite(path, arrays)
    assert path.read_bytes() != before
    assert load_mask_set(tmp_path, built.description).digest == built.digest
    assert build_mask_set(tmp_path, 32, ["brush"], [1], count=4).digest == built.digest

    arrays["packed"] = arrays["packed"].copy()
    arrays["packed"][2, 5] ^= 1
    about = json.loads(str(arrays["about"])) | {"packed_sha256": sha256_bytes(arrays["packed"].tobytes())}
    rewrite(path, arrays | {"about": json.dumps(about)})
    assert build_mask_set(tmp_path, 32, ["brush"], [1], count=4).digest != built.digest


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, 1, "brush", 32, count=4)
    path = tmp_path / frozen.file
    rewrite(path, dict(np.load(path, allow_pickle=False)))
    content = bytearray(path.read_bytes())
    content[content.index(b"packed.npy") + 10] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(FaceReconError, match="remove it"):
        freeze(tmp_path, 1, "brush", 32, count=4)


def test_a_described_set_must_be_there_and_the_same(tmp_path: Path) -> None:
    built = build_mask_set(tmp_path, 32, ["brush"], [1, 2], count=4)
    description = built.description
    path = tmp_path / built.masks[1, "brush"].file
    content = dict(np.load(path, allow_pickle=False))
    # a consistent file, but not the one that was described
    forged = 1 - np.unpackbits(content["packed"])
    about = json.loads(str(content["about"]))
    packed = np.packbits(forged).reshape(content["packed"].shape)
    about["packed_sha256"] = sha256_bytes(packed.tobytes())
    np.savez(path, about=np.array(json.dumps(about)), packed=packed)
    with pytest.raises(FaceReconError, match="described"):
        load_mask_set(tmp_path, description)
    path.unlink()
    with pytest.raises(FaceReconError, match="missing"):
        load_mask_set(tmp_path, description)


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match="level 9"):
        freeze(tmp_path, 9, "brush", 32)
    with pytest.raises(FaceReconError, match="spray"):
        freeze(tmp_path, 1, "spray", 32)
    with pytest.raises(FaceReconError, match="at least one"):
        freeze(tmp_path, 1, "brush", 32, count=0)
    with pytest.raises(FaceReconError, match="at least one"):
        build_mask_set(tmp_path, 32, [], [1])
    assert not list(tmp_path.iterdir())
