"""What is in a kit, and what is not."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.gpu import build as building
from benchmarks.gpu.build import MOST, build, commit, faces, tree_size
from benchmarks.gpu.environment import CARRIED, PROJECT, read_about
from benchmarks.gpu.kit import open_kit
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.metrics import channels_first, whole_psnr


@pytest.fixture(scope="module")
def packed(built: Path) -> Manifest:
    """The faces that ``built`` was made of."""
    return faces(None, "folder", 64, 60, built.parent / "state")


def test_faces_come_out_as_they_went_in(built: Path, packed: Manifest, tmp_path: Path) -> None:
    opened = open_kit(built, read_about(built), tmp_path)
    assert opened.equal_crops == 1
    assert len(opened.faces.faces) == len(packed.faces) == 60
    ins, outs = packed.aligned_faces, opened.faces.aligned_faces
    before = packed.faces.sort_values("face").reset_index(drop=True)
    for (_, was), (_, now) in zip(before.iterrows(), opened.faces.faces.iterrows(), strict=True):
        pair = [channels_first(store.crop(row["face"])[None]) for store, row in ((ins, was), (outs, now))]
        assert whole_psnr(*pair).item() > 35
        assert now["split"] == was["split"]
        for mine, theirs in zip(outs.few_points(now["face"]), ins.few_points(was["face"]), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert (opened.faces.faces.groupby("identity").size().sort_values().tolist()) == (
        packed.faces.groupby("identity").size().sort_values().tolist()
    )


def test_a_split_is_limited_by_hash(built: Path, tmp_path: Path) -> None:
    opened = open_kit(built, read_about(built), tmp_path)
    few = opened.limited(3)
    assert len(few.faces.faces) < len(opened.faces.faces)
    for split in ("train", "val", "gate", "test"):
        every = opened.faces.split(split)["face"].tolist()
        assert few.faces.split(split)["face"].tolist() == every[:3]
    assert opened.limited(1000).faces.digest == opened.faces.digest


def test_a_kit_names_neither_people_nor_files(built: Path, packed: Manifest) -> None:
    rows = pd.read_parquet(built / "faces.parquet")
    text = rows.to_csv()
    for column in ("identity", "uri", "sha256", "face"):
        assert not [value for value in packed.faces[column] if str(value) in text]


def test_faces_are_chosen_by_hash(built: Path, packed: Manifest) -> None:
    fewer = faces(built.parent / "state" / "drawn-60", "folder", 64, 20, built.parent / "state")
    assert len(fewer.faces) == 20
    assert set(fewer.faces["face"]) < set(packed.faces["face"])
    again = faces(None, "folder", 64, 60, built.parent / "state")
    assert again.digest == packed.digest


def test_wheels_are_for_the_other_machine(built: Path) -> None:
    wheels = [path.name for path in (built / "wheels").iterdir()]
    assert {re.split(r"-\d", name)[0].replace("_", "-") for name in wheels} == set(CARRIED.values())
    for name in wheels:
        assert re.search(r"(cp312-cp312-.*x86_64|py3-none-any)\.whl$", name), name


def test_a_kit_says_what_it_was_built_from(built: Path) -> None:
    about = json.loads((built / "kit.json").read_text())
    assert about["commit"] == commit()
    assert about["commit"].split()[0] in subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=PROJECT, text=True)
    on_disk = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert set(about["files"]) == on_disk - {"kit.json"}
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) <= MOST
    assert 5 * 2**20 < tree_size() < 20 * 2**20


def test_the_tree_is_looked_at_before_anything_is_written_to_it(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clean() -> str:
        assert not list(tmp_path.iterdir())
        return "4711abc"

    monkeypatch.setattr(building, "commit", clean)
    monkeypatch.setattr(building, "fetch_wheels", lambda folder: None)
    assert build(tmp_path / ".gpu", None, "folder", 64, 60, built.parent / "state")["commit"] == "4711abc"
    paths = [".gpu/x", ".gpu-unfinished-1/x"]
    assert subprocess.check_output(["git", "check-ignore", *paths], cwd=PROJECT, text=True).splitlines() == paths


def test_a_kit_that_is_too_large_leaves_the_one_before(kit: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MOST", 2**20)
    monkeypatch.setattr(building, "fetch_wheels", lambda folder: None)
    before = sorted(kit.parent.rglob("*"))
    with pytest.raises(FaceReconError, match=r"the kit has \d+\.\d MiB.*at most 1 and 64.*--faces"):
        build(kit, None, "folder", 64, 60, built.parent / "state")
    assert sorted(kit.parent.rglob("*")) == before
    assert read_about(kit)


def test_a_size_that_is_not_allowed_is_refused_in_one_line(built: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match=r"alignment\.size.*64") as error:
        build(tmp_path / "kit", None, "folder", 32, 60, built.parent / "state")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_wheels_that_cannot_be_fetched_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(FaceReconError, match=r"wheels could not be fetched \(.+\): try again") as error:
        building.fetch_wheels(tmp_path / "wheels")
    assert "\n" not in str(error.value)


def test_the_command_says_what_it_built(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(building, "fetch_wheels", lambda folder: None)
    arguments = ["--size", "64", "--faces", "60", "--out", str(tmp_path / "a"), "--state", str(built.parent / "state")]
    monkeypatch.setattr("sys.argv", ["build", *arguments])
    building.main()
    assert re.search(r"60 faces of 15 people \(drawn\) at 64 px, commit \w{12}", capsys.readouterr().out)
    assert read_about(tmp_path / "a")
