"""One manifest of several sources: a row's ``source`` names its root; nobody can come into two splits."""

import pickle
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facerecon.data import alignment, known
from facerecon.data import ingest as module
from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.duplicates import COLUMNS, Guarded
from facerecon.data.forget import Target, facts_of, remove_frames, remove_photos, traces_of
from facerecon.data.ingest import ingest, source_fingerprint
from facerecon.data.manifest import PHOTO_COLUMNS, Manifest, SourceRoot
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES, Photo, Source, SourceContext, image_files
from facerecon.data.splits import split_of
from facerecon.data.tombstones import Tombstones
from facerecon.data.validation.check import validate
from facerecon.data.validation.settings import ValidationSettings
from facerecon.data.validation.suites import resolve_suites
from facerecon.data.validation.tables import tables
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT

ALIGNMENT = AlignmentSettings(size=64, workers=1)
SHARES = DataSettings().splits
ELSEWHERE = next(name for name in map("guest {}".format, range(99)) if split_of(name, SHARES) != "train")


def photo(path: Path, shade: int = 0) -> Path:
    """A small photo, other for every shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, dtype=np.uint8)).save(path)
    return path


def two(root: Path, **both: Any) -> tuple[DataSettings, DataSettings]:
    """The folders ``a`` and ``b`` as sources of these names."""
    first, second = (DataSettings(name=name, path=str(root / name), **both) for name in ("a", "b"))
    return first, second


def run(root: Path, *sources: DataSettings) -> Manifest:
    return ingest(sources or two(root), root, root / "frames")


def people(manifest: Manifest) -> set[tuple[str, str, str]]:
    return set(manifest.faces[["source", "uri", "identity"]].itertuples(index=False, name=None))


def test_each_uri_is_relative_to_the_root_of_its_source(tmp_path: Path) -> None:
    one, other = photo(tmp_path / "a/ada/1.png", 1), photo(tmp_path / "b/ada/1.png", 2)
    manifest = run(tmp_path)
    assert manifest.faces.columns.tolist() == list(PHOTO_COLUMNS)
    assert manifest.sources == {name: SourceRoot("folder", str(tmp_path / name)) for name in ("a", "b")}
    assert manifest.faces[["source", "uri"]].to_numpy().tolist() == [["a", "ada/1.png"], ["b", "ada/1.png"]]
    found = [Path(manifest.sources[row.source].root) / row.uri for row in manifest.faces.itertuples()]
    assert found == [one, other]


def test_people_of_one_name_share_a_split_and_are_one_only_where_both_sources_say_so(tmp_path: Path) -> None:
    for number, name in enumerate(("ada", "bob", "eve", "zoe")):
        photo(tmp_path / f"a/{name}/1.png", number)
        photo(tmp_path / f"b/{name}/1.png", 100 + number)
    apart, joined = run(tmp_path), run(tmp_path, *two(tmp_path, shared_names=True))
    assert apart.faces["identity"].nunique() == 8
    assert ("b", "eve/1.png", "b:eve") in people(apart)
    assert joined.faces["identity"].unique().tolist() == ["ada", "bob", "eve", "zoe"]
    for manifest in (apart, joined):
        splits = manifest.faces.groupby("uri")["split"]
        assert (splits.nunique() == 1).all()
        assert splits.first().tolist() == [split_of(name, SHARES) for name in ("ada", "bob", "eve", "zoe")]
    one, other = two(tmp_path)
    half = run(tmp_path, one, other.model_copy(update={"shared_names": True}))
    assert {"a:ada", "ada"} <= set(half.faces["identity"])


def test_who_is_not_named_is_known_by_content(tmp_path: Path) -> None:
    photo(tmp_path / "a/1.png", 1)
    photo(tmp_path / "b/1.png", 2)
    assert all(identity.startswith("unnamed-") for identity in run(tmp_path).faces["identity"])


def test_a_photo_that_two_sources_have_is_used_once_whatever_their_order(tmp_path: Path) -> None:
    photo(tmp_path / "b/ada/1.png", 1)
    photo(tmp_path / "b/ada/2.png", 1)
    photo(tmp_path / "a/eve/9.png", 1)
    manifest = run(tmp_path)
    assert people(manifest) == {("a", "eve/9.png", "a:eve")}
    assert manifest.quarantine.to_numpy().tolist() == [
        ["b", "ada/1.png", "duplicate", "duplicate of eve/9.png in a"],
        ["b", "ada/2.png", "duplicate", "duplicate of eve/9.png in a"],
    ]
    assert run(tmp_path, *two(tmp_path)[::-1]).digest == manifest.digest


def test_the_digest_tells_of_which_source_a_quarantined_uri_is(tmp_path: Path) -> None:
    photo(tmp_path / "a/1.png", 1)
    photo(tmp_path / "b/1.png", 2)
    (tmp_path / "a/bad.png").write_text("text")
    one = run(tmp_path)
    (tmp_path / "a/bad.png").rename(tmp_path / "b/bad.png")
    assert run(tmp_path).digest != one.digest


def test_what_a_source_withdraws_is_evaluated_in_no_source_and_still_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"guest {number}" for number in range(8)]
    for shade, name in enumerate(names):
        photo(tmp_path / "a" / name / "0.png", shade)
    photo(tmp_path / "b" / "somebody" / "0.png", 99)
    monkeypatch.setitem(SOURCES, "one_that_knows", replace(SOURCES["folder"], withdrawn=lambda root: gone))
    sources = (
        DataSettings(name="a", path=str(tmp_path / "a")),
        DataSettings(name="b", path=str(tmp_path / "b"), source="one_that_knows"),
    )
    gone: frozenset[str] = frozenset()
    before = run(tmp_path, *sources).faces
    gone = frozenset(before["sha256"][before["source"] == "a"])
    after = run(tmp_path, *sources)
    assert set(before["split"]) > {"train"}
    assert set(after.faces["uri"]) == set(before["uri"][(before["split"] == "train") | (before["source"] == "b")])
    assert set(after.quarantine["code"]) == {"left_evaluation"}
    assert len(after.quarantine) == len(before) - len(after.faces)


def test_one_source_in_a_list_is_that_source(tmp_path: Path) -> None:
    photo(tmp_path / "ada/1.png", 1)
    (tmp_path / "bad.png").write_text("text")
    source = DataSettings(path=str(tmp_path))
    alone, listed = (ingest(data, tmp_path, tmp_path.parent / "frames") for data in (source, [source]))
    assert alone.digest == listed.digest
    assert listed.sources == {"folder": SourceRoot("folder", str(tmp_path))}
    assert source_fingerprint(source, tmp_path) == source_fingerprint([source], tmp_path)


def test_the_fingerprint_follows_each_source(tmp_path: Path) -> None:
    photo(tmp_path / "a/1.png", 1)
    photo(tmp_path / "b/1.png", 2)
    seen = [source_fingerprint(two(tmp_path), tmp_path)]
    assert source_fingerprint(two(tmp_path)[::-1], tmp_path) == seen[0]
    for name in ("a", "b"):
        photo(tmp_path / name / "2.png", 3)
        seen.append(source_fingerprint(two(tmp_path), tmp_path))
    assert len(set(seen)) == 3


def test_sources_under_one_root_know_what_was_read_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "SETTLED_NS", -10_000_000_000)
    photo(tmp_path / "p/A_B/A_B_0001.jpg", 1)
    photo(tmp_path / "p/other/1.png", 2)
    both = [DataSettings(path=str(tmp_path / "p"), source=source) for source in ("folder", "lfw")]
    manifest = run(tmp_path, *both)
    expected = {("folder", "A_B/A_B_0001.jpg", "folder:A_B"), ("folder", "other/1.png", "folder:other")}
    assert people(manifest) == expected
    monkeypatch.setattr(module, "read_bytes", None)
    assert run(tmp_path, *both).digest == manifest.digest


def test_the_most_photos_are_each_sources_own(tmp_path: Path) -> None:
    for number in range(6):
        photo(tmp_path / f"a/{number}.png", number)
        photo(tmp_path / f"b/{number}.png", 100 + number)
    one, other = two(tmp_path)
    manifest = run(tmp_path, one.model_copy(update={"max_faces": 2}), other)
    assert manifest.faces["source"].value_counts().to_dict() == {"a": 2, "b": 6}


class TestOfficialPartitions:
    @pytest.fixture(autouse=True)
    def layouts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def official(split: str) -> Source:
            def photos(root: Path, context: SourceContext) -> Iterator[Photo]:
                for path in image_files(root):
                    yield Photo(path.relative_to(root).as_posix(), path.parent.name, (split,))

            return Source(photos)

        for split in ("train", "test"):
            monkeypatch.setitem(SOURCES, f"official_{split}", official(split))

    def test_a_name_keeps_to_the_partition_of_one_source_in_all(self, tmp_path: Path) -> None:
        for number in range(20):
            photo(tmp_path / f"a/person {number}/1.png", number)
            photo(tmp_path / f"b/person {number}/1.png", 100 + number)
        one, other = two(tmp_path)
        manifest = run(tmp_path, one, other.model_copy(update={"source": "official_test"}))
        assert set(manifest.faces["split"]) == {"test"}

    def test_partitions_that_contradict_one_another_are_refused(self, tmp_path: Path) -> None:
        photo(tmp_path / "a/ada/1.png", 1)
        photo(tmp_path / "b/ada/1.png", 2)
        one, other = two(tmp_path)
        one = one.model_copy(update={"source": "official_train"})
        other = other.model_copy(update={"source": "official_test"})
        with pytest.raises(FaceReconError, match=r"^data: 'ada' may be in train alone .* test alone .* of 'b': leave"):
            run(tmp_path, one, other)


@pytest.fixture(scope="module")
def joined(sample_faces: Path, tmp_path_factory: pytest.TempPathFactory, landmark_model: Path) -> Manifest:
    """Two folders with equal uris for other faces, and an archive, aligned. The second folder has a copy, written
    anew, of a photo in ``train`` under a name that is in another split; the archive one of equal bytes, and a wall."""
    root = tmp_path_factory.mktemp("joined")
    photos = sorted(image_files(sample_faces), key=lambda path: (split_of(path.parent.name, SHARES) != "train", path))
    for number in range(7):
        for folder, path in (("photos", photos[number]), ("more", photos[7 + number])):
            target = root / folder / photos[number].relative_to(sample_faces)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (root / "more" / ELSEWHERE).mkdir()
    Image.open(photos[0]).save(root / "more" / ELSEWHERE / "copy.jpg", quality=80)
    members = {"Ada/1.jpg": photos[14], "Bob/1.jpg": photos[15], "Eve/1.jpg": photos[3], "wall.png": root / "wall.png"}
    photo(root / "wall.png", 90)
    (root / "packed").mkdir()
    with zipfile.ZipFile(root / "packed" / "all.zip", "w") as archive:
        for name, path in members.items():
            archive.write(path, name)
    sources = (
        DataSettings(name="photos", path=str(root / "photos")),
        DataSettings(name="more", path=str(root / "more")),
        DataSettings(name="packed", source="archive", path=str(root / "packed")),
    )
    return align(ingest(sources, root, root / "frames"), ALIGNMENT, landmark_model, root / "crops")


def test_faces_of_all_sources_are_cut_out_as_of_each_alone(
    joined: Manifest, landmark_model: Path, tmp_path: Path
) -> None:
    joined.check_crops()
    assert joined.faces["source"].value_counts().to_dict() == {"more": 8, "photos": 6, "packed": 3}
    assert joined.quarantine[["source", "code"]].to_numpy().tolist() == [
        ["photos", "duplicate"],
        ["packed", "no_face"],
    ]
    alone = ingest(DataSettings(path=joined.sources["more"].root), tmp_path, tmp_path / "frames")
    alone = align(alone, ALIGNMENT, landmark_model, tmp_path / "crops")
    for face in alone.faces["face"]:
        assert np.array_equal(joined.aligned_faces.crop(face), alone.aligned_faces.crop(face))
    copied = pickle.loads(pickle.dumps(joined.aligned_faces))
    for face in joined.faces["face"]:
        assert np.array_equal(copied.crop(face), joined.aligned_faces.crop(face))


def test_a_folder_is_aligned_once_alone_and_among_others(
    joined: Manifest, landmark_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = Path(joined.sources["more"].root)
    monkeypatch.setattr(alignment, "_align_chunk", None)
    alone = ingest(DataSettings(path=str(more)), tmp_path, tmp_path / "frames")
    assert len(align(alone, ALIGNMENT, landmark_model, more.parent / "crops").faces) == 8


def test_a_face_that_is_missing_is_named_with_all_places(joined: Manifest) -> None:
    assert isinstance(joined.store, dict)
    moved = replace(joined, store={**joined.store, "packed": "/nowhere"})
    with pytest.raises(FaceReconError, match=r"^3 aligned faces are missing from .*/nowhere.* \(first"):
        moved.check_crops()


def test_the_strict_suites_pass_and_a_near_duplicate_goes_with_its_source(joined: Manifest) -> None:
    checked = validate(joined, resolve_suites(ValidationSettings(), PROJECT)).manifest
    gone = checked.quarantine.iloc[-1]
    assert (gone["source"], gone["code"]) == ("photos", "near_duplicate")
    assert gone["reason"] == f"near-duplicate of more:{ELSEWHERE}/copy.jpg in split {split_of(ELSEWHERE, SHARES)}"
    same_uri = joined.faces[joined.faces["uri"] == gone["uri"]]
    assert same_uri["source"].tolist() == ["more", "photos"]
    assert checked.faces[checked.faces["uri"] == gone["uri"]]["source"].tolist() == ["more"]
    assert len(checked.faces) == len(joined.faces) - 1


class TestForget:
    """Ada is in a folder and in an archive, and Bob too."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        for number, name in enumerate(("Ada", "Bob")):
            photo(tmp_path / f"data/photos/{name}/1.png", number)
            photo(tmp_path / f"data/photos/{name}/2.png", 10 + number)
        (tmp_path / "data/packed").mkdir()
        with zipfile.ZipFile(tmp_path / "data/packed/all.zip", "w") as archive:
            for number, name in enumerate(("Ada", "Bob")):
                path = photo(tmp_path / "spare.png", 20 + number)
                archive.write(path, f"{name}/1.png")
                path.unlink()
        return tmp_path

    def listed(self, project: Path, **options: Any) -> Manifest:
        sources = (
            DataSettings(name="photos", path="data/photos", **options),
            DataSettings(name="packed", source="archive", path="data/packed", **options),
        )
        return ingest(sources, project, project / "frames")

    def forget(self, project: Path, name: str, manifest: Manifest, roots: list[tuple[str, Path]]) -> set[str]:
        target = Target("identity", name)
        traces = traces_of(target, [manifest], roots, project, project / "frames")
        assert remove_photos(traces, target, roots, project) == []
        remove_frames(traces, target, project / "frames")
        Tombstones.read(project).bury(facts_of(traces, target), "2026-12-01", "asked").write(project)
        return {f"{Path(trace.root).name}/{trace.uri}" for trace in traces}

    @pytest.mark.parametrize("shared", [False, True])
    def test_of_both_sources_by_the_name_that_they_give(self, project: Path, shared: bool) -> None:
        manifest = self.listed(project, shared_names=shared)
        roots = [(source.layout, Path(source.root)) for source in manifest.sources.values()]
        found = self.forget(project, "Ada", manifest, roots)
        assert found == {"photos/Ada/1.png", "photos/Ada/2.png", "packed/all.zip!/Ada/1.png"}
        left = self.listed(project)
        assert set(left.faces["uri"]) == {"Bob/1.png", "Bob/2.png", "all.zip!/Bob/1.png"}

    def test_by_the_manifest_alone(self, project: Path) -> None:
        """As of footage, whose clips are not read anew."""
        found = self.forget(project, "Ada", self.listed(project), [])
        assert found == {"photos/Ada/1.png", "photos/Ada/2.png", "packed/all.zip!/Ada/1.png"}

    def test_of_one_source_by_the_name_in_the_manifest(self, project: Path) -> None:
        manifest = self.listed(project)
        found = self.forget(project, "packed:Ada", manifest, [])
        assert found == {"packed/all.zip!/Ada/1.png"}
        assert ("photos", "Ada/1.png", "photos:Ada") in people(self.listed(project))

    def test_what_comes_back_is_refused_in_any_source(self, project: Path) -> None:
        content = (project / "data/photos/Ada/1.png").read_bytes()
        self.forget(project, "Ada", self.listed(project), [])
        with zipfile.ZipFile(project / "data/packed/more.zip", "w") as archive:
            archive.writestr("Eve/7.png", content)
        rows = self.listed(project).quarantine.to_numpy().tolist()
        assert rows == [["packed", "more.zip!/Eve/7.png", "forgotten", "forgotten"]]


def test_clips_of_one_name_in_two_sources_are_two_clips() -> None:
    """The strict suite asks that a track is one person's, in one split."""
    blank = dict.fromkeys(PHOTO_COLUMNS, "") | {"time": 1.0, "frame": 1, "anchor_x": 1.0, "anchor_y": 1.0}
    seen = {"uri": "c.mp4#1", "clip": "c.mp4", "track": "c.mp4#1", "split": "train", "brightness": 100.0}
    rows = [
        {**blank, **seen, "face": name, "sha256": name, "source": name, "identity": f"{name}:c.mp4#1"} for name in "ab"
    ]
    manifest = Manifest(pd.DataFrame(rows), {name: SourceRoot("footage", f"/{name}") for name in "ab"})
    none = pd.DataFrame(columns=list(COLUMNS))
    made = tables(Guarded(manifest, none, none))
    assert made["tracks"]["track"].tolist() == ["a:c.mp4#1", "b:c.mp4#1"]
    assert made["tracks"]["identities"].tolist() == [1, 1]
    assert made["photos"]["uri"].tolist() == ["a:c.mp4#1", "b:c.mp4#1"]
    assert made["totals"]["photos"].tolist() == [2]
