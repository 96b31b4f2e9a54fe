"""Forgetting after a real run of each task, by the command that users type: nothing of the person is left but what it
told of."""

import json
import sqlite3
import zipfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from facerecon.data.store import FaceStore
from facerecon.files import sha256_file
from tests.pipelines.test_restoration import CONFIG as RESTORATION

pytestmark = pytest.mark.slow

RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/people.yaml")
RESTORE = (*RUN[:-1], "configs/restored.yaml")
REASON = ("--reason", "asked on 2026-11-21")


@dataclass(frozen=True)
class Person:
    """What must not be found any more."""

    name: str
    photos: int
    digests: tuple[str, ...]
    contents: tuple[bytes, ...]
    crops: tuple[bytes, ...]
    degraded: tuple[bytes, ...]


def ok(clone, *command: str):
    done = clone.run(*command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


def commit(clone) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (["add", "-A"], [*author, "commit", "-qm", "data"]):
        ok(clone, "git", *command)


def faces(clone) -> pd.DataFrame:
    """The rows of the newest aligned manifest."""
    found = (clone.root / ".facerecon" / "artifacts").rglob("faces.parquet")
    tables = [pd.read_parquet(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]
    return next(table for table in reversed(tables) if "crop_sha256" in table)


def person(clone, split: str) -> Person:
    rows = faces(clone)
    name = rows[rows["split"] == split]["identity"].iloc[0]
    rows = rows[rows["identity"] == name]
    photos = [clone.root / "data" / "people" / uri for uri in rows["uri"]]
    [folder] = {path.parent for path in (clone.root / ".facerecon" / "crops").rglob("*.safetensors")}
    crops = tuple(FaceStore(folder).crop(face).tobytes() for face in rows["face"])
    digests = tuple(map(sha256_file, photos))
    degraded = tuple(one[face] for one in frozen(clone).values() for face in rows["face"] if face in one)
    return Person(name, len(photos), digests, tuple(path.read_bytes() for path in photos), crops, degraded)


def frozen(clone) -> dict[str, dict[str, bytes]]:
    """By preset the degraded faces that evaluation has frozen; of each preset there is one file."""
    found = {}
    for path in (clone.root / ".facerecon" / "cases" / "restoration").rglob("*.npz"):
        with np.load(path) as content:
            about, pixels = json.loads(str(content["about"])), content["pixels"]
        assert about["preset"] not in found
        found[about["preset"]] = {face: pixels[row].tobytes() for row, face in enumerate(about["faces"])}
    return found


@pytest.fixture(scope="module")
def forgotten(forgetful_clone, tmp_path_factory):
    """After a run of each task, somebody in training and somebody in the gate split are forgotten; what the commands
    said, and which degraded faces there were."""
    clone = forgetful_clone
    config = yaml.safe_load((clone.root / "configs" / "ci.yaml").read_text())
    config["parameters"] |= {"name": "people"}
    config["parameters"]["data"]["path"] = "data/people"
    (clone.root / "configs" / "people.yaml").write_text(yaml.safe_dump(config))
    again = RESTORATION | {"name": "restored", "data": config["parameters"]["data"]}
    (clone.root / "configs" / "restored.yaml").write_text(yaml.safe_dump({"parameters": again}))
    ok(clone, "dvc", "add", "-q", "data")
    ok(clone, "dvc", "remote", "add", "backup", str(tmp_path_factory.mktemp("backup")))
    ok(clone, "dvc", "push", "-q", "-r", "backup")
    commit(clone)
    ok(clone, *RUN)
    ok(clone, *RESTORE)
    degraded = frozen(clone)
    people = [person(clone, split) for split in ("train", "gate")]
    shown = clone.run("facerecon", "forget", "--identity", people[0].name, *REASON)
    before = sorted(path for path in (clone.root / "data").rglob("*.jpg"))
    said = [ok(clone, "facerecon", "forget", "--identity", one.name, *REASON, "--yes").stdout for one in people]
    return people, shown, before, said, degraded


def everything(clone) -> list[Path]:
    """Every file of the clone and of its ZenML; git's own are not touched by forgetting."""
    tops = (clone.root, clone.root.parent / "zenml")
    return [p for top in tops for p in top.rglob("*") if p.is_file() and ".git" not in p.parts]


def readable(path: Path) -> bytes:
    """The bytes of a file, and what its format hides: members of archives, cells of tables, arrays."""
    parts = [path.read_bytes()]
    if path.suffix == ".parquet":
        parts.append(pd.read_parquet(path).to_csv().encode())
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    elif parts[0].startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as database:
            parts.append("\n".join(database.iterdump()).encode("utf-8", "surrogateescape"))
    elif path.suffix == ".safetensors":
        parts += [array.tobytes() for array in load_file(path).values()]
    return b"\n".join(parts)


def test_it_first_shows_what_would_go_and_removes_nothing_unasked(forgotten):
    people, shown, before, _, _ = forgotten
    assert shown.returncode == 1
    assert f"What this clone keeps of identity {people[0].name}:" in shown.stdout
    assert f"{people[0].photos} photos\n" in shown.stdout
    assert len(before) == 24


def test_nothing_of_the_people_is_left_in_the_clone(forgetful_clone, forgotten):
    found = []
    for path in everything(forgetful_clone):
        content = readable(path)
        for one in forgotten[0]:
            needles = [one.name.encode(), *(digest.encode() for digest in one.digests), *one.contents]
            needles += [*one.crops, *one.degraded]
            found += [(path, one.name) for needle in needles if needle in content]
    assert found == []


def test_no_picture_of_the_run_is_left(forgetful_clone):
    pictures = {".png", ".jpg", ".html", ".npz", ".parquet"}
    state = [forgetful_clone.root / name for name in (".facerecon", "outputs")]
    cases = state[0] / "cases"
    left = [p for top in state for p in top.rglob("*") if p.suffix in pictures and not p.is_relative_to(cases)]
    assert left == []


def test_degraded_faces_go_and_those_of_others_keep_their_pixels(forgetful_clone, forgotten):
    people, _, _, said, before = forgotten
    assert set(before) == {"mild", "motion"}
    assert (len(people[0].degraded), len(people[1].degraded)) == (0, 2 * people[1].photos)
    assert "degraded" not in said[0]
    assert "2 files of degraded evaluation faces: written anew without theirs\n" in said[1]
    gone = set(people[1].digests)
    assert frozen(forgetful_clone) == {
        preset: {face: pixels for face, pixels in of.items() if face not in gone} for preset, of in before.items()
    }


def test_it_tells_of_models_and_of_what_lies_in_remotes(forgetful_clone, forgotten):
    people, _, _, said, _ = forgotten
    version = "people/1, anchor, challenger, champion"
    assert f"{version}: trained on {people[0].photos} photos of this person: retrain or delete it" in said[0]
    assert f"{version}: not trained on this person; {people[1].photos} photos in gate" in said[1]
    for text in said:
        assert "remote backup (" in text
        assert "cannot be checked out any more" in text
    client = mlflow.MlflowClient(forgetful_clone.tracking_uri)
    [group] = [line for line in said[0].splitlines() if line.startswith("Forgotten:")]
    assert client.get_model_version("facerecon-people", "1").tags["forgotten"] in group


def test_the_run_cannot_be_reproduced_and_says_why(forgetful_clone, forgotten):
    done = forgetful_clone.run("facerecon", "reproduce", "people/1")
    assert done.returncode == 1
    assert "was made with photos that are forgotten since" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_git_and_dvc_cannot_bring_the_photos_back(forgetful_clone, forgotten):
    clone = forgetful_clone
    new = (clone.root / "data.dvc").read_text()
    try:
        ok(clone, "git", "checkout", "-q", "HEAD", "--", "data.dvc")
        assert (clone.root / "data.dvc").read_text() != new
        assert clone.run("dvc", "checkout", "data.dvc").returncode != 0
        assert len(list((clone.root / "data").rglob("*.jpg"))) <= 20
    finally:
        (clone.root / "data.dvc").write_text(new)
        ok(clone, "dvc", "checkout", "-q", "--force", "data.dvc")


def test_the_next_run_works_without_them_and_refuses_a_photo_that_returns(forgetful_clone, forgotten):
    clone, people = forgetful_clone, forgotten[0]
    returned = clone.root / "data" / "people" / "somebody" / "again.jpg"
    returned.parent.mkdir()
    returned.write_bytes(people[0].contents[0])
    ok(clone, *RUN)
    rows = faces(clone)
    assert rows["identity"].nunique() == 10
    assert rows["sha256"].isin(people[0].digests + people[1].digests).sum() == 0
    [manifest] = (clone.root / ".facerecon" / "artifacts").glob("ingest/photos/**/quarantine.parquet")
    refused = pd.read_parquet(manifest)
    assert ["folder", "somebody/again.jpg", "forgotten", "forgotten"] in refused.to_numpy().tolist()
    assert (clone.root / "outputs" / "people" / "report.html").is_file()
    cases = {path: path.stat().st_mtime_ns for path in (clone.root / ".facerecon/cases/restoration").rglob("*.npz")}
    ok(clone, *RESTORE)
    assert {path: path.stat().st_mtime_ns for path in cases} == cases, "what was written anew is what the run needs"
    assert len(frozen(clone)) == len(cases)
    assert (clone.root / "outputs" / "restored" / "report.html").is_file()


def test_who_is_not_there_is_told_with_a_close_name(forgetful_clone, forgotten):
    done = forgetful_clone.run("facerecon", "forget", "--identity", "guest_001", *REASON)
    assert done.returncode == 1
    assert "no photo of identity 'guest_001' is known: did you mean guest_00" in done.stderr
