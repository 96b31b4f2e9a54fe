"""Forgetting in MLflow and in the state folder, and after being killed; of a real run in ``tests/pipelines``."""

import json
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from PIL import Image

from facerecon.data.forget import Target
from facerecon.data.ingest import ingest
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import DataSettings
from facerecon.data.store import AlignedPhoto, FaceStore
from facerecon.data.tombstones import Tombstones
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_bytes, sha256_file
from ops.forget import Use, check_reason, forget, removal, survey, uses, zenml_artifacts
from ops.forget.mlflow_runs import every_run, files_below

ADA = Target("identity", "Ada Lovelace")


@pytest.fixture
def project(zenml, state, tmp_path, monkeypatch) -> Path:
    """Two people; a run with pictures, figures and a version made of them, and one that is about others."""
    folder = tmp_path / "project"
    for module in ("search", "record", "members", "removal", "sweep", "dvc_objects"):
        monkeypatch.setattr(f"ops.forget.{module}.PROJECT", folder)
    monkeypatch.setattr("ops.lineage.PROJECT", folder)
    monkeypatch.setenv("FACERECON_OUTPUTS", str(folder / "outputs"))
    for number, name in enumerate(("Ada Lovelace", "Bob", "Cy", "Di")):
        (folder / "data" / name).mkdir(parents=True)
        for index in range(2):
            pixels = np.random.default_rng(10 * number + index).integers(0, 255, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{index}.png")
    (folder / "configs").mkdir()
    (folder / "configs" / "demo.yaml").write_text("parameters: {data: {path: data}}")
    manifest = ingest(DataSettings(path="data"), folder, state / "frames")
    manifest.faces["split"] = np.where(manifest.faces["identity"] == ADA.name, "train", "test")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter([(manifest, [])]))
    mlflow.MlflowClient().create_registered_model("facerecon-demo")
    for name, digest in (("with", manifest.digest), ("without", "0" * 64)):
        with mlflow.start_run(run_name=name) as run:
            mlflow.set_tag("manifest_digest", digest)
            mlflow.log_metric("psnr", 20.0)
            mlflow.log_image(np.zeros((4, 4, 3), np.uint8), "grids/test.png")
            mlflow.log_text("<p>", "published/report.html")
            mlflow.log_dict({"psnr": 20.0}, "published/metrics.json")
            mlflow.log_text("seen: Ada Lovelace/0.png" if name == "with" else "", "notes.txt")
        tags = {"manifest_digest": digest}
        mlflow.MlflowClient().create_model_version("facerecon-demo", "file:///x", run.info.run_id, tags)
        published = folder / "outputs" / name
        (published / "data_docs").mkdir(parents=True)
        for file in ("report.html", "data_docs/index.html", "model_card.md"):
            (published / file).write_text("a page")
        (published / "metrics.json").write_text(json.dumps({"data": digest}))
    (state / "logs").mkdir()
    (state / "logs" / "run.log").write_text("aligning Ada Lovelace/1.png")
    (state / "data_docs").mkdir()
    (state / "data_docs" / "photos.html").write_text("<td>Ada Lovelace/1.png</td>")
    return folder


def freeze(state: Path, photos: list[str]) -> Path:
    """A file of degraded faces of these photos, as freezing the cases leaves it."""
    what = {"preset": "mild", "size": 8, "scale": 1, "seed": 0, "definition": "d" * 64}
    what |= {"faces": photos, "crops": ["c" * 64] * len(photos)}
    pixels = np.stack([np.full((8, 8, 3), int(photo[:2], 16), np.uint8) for photo in photos])
    about = json.dumps(what | {"pixels_sha256": sha256_bytes(pixels.tobytes())}, sort_keys=True)
    path = state / "cases" / "restoration" / "code" / f"mild-8px-x1-seed0-{digest_of(what)[:16]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, about=np.array(about), pixels=pixels)
    return path


def test_what_benchmarks_keep_of_them_goes_too(project, state):
    shas = [sha256_file(path) for path in sorted((project / "data" / "Ada Lovelace").iterdir())]
    theirs = [sha256_file(path) for path in sorted((project / "data" / "Bob").iterdir())]
    hers, crops = freeze(state / "benchmarks", [*shas, *theirs]), state / "benchmarks" / "crops" / "64px"
    FaceStore.write(crops, [AlignedPhoto(sha256, Refusal(Code.NO_FACE, ""), []) for sha256 in (*shas, *theirs)])
    found = survey(ADA)
    assert found.frozen == [str(hers)]
    assert forget(found, "asked").left == []
    assert not hers.exists()
    [left] = hers.parent.iterdir()
    assert json.loads(str(np.load(left)["about"]))["faces"] == theirs
    assert [sha256 in FaceStore(crops) for sha256 in (*shas, *theirs)] == [False, False, True, True]


def files(run: str) -> set[str]:
    found = mlflow.search_runs(filter_string=f"run_name = '{run}'", output_format="list")[0]
    return set(files_below(get_artifact_repository(found.info.artifact_uri)))


def tag(run: str) -> str | None:
    return mlflow.search_runs(filter_string=f"run_name = '{run}'", output_format="list")[0].data.tags.get("forgotten")


def assert_forgotten(project: Path, state: Path, shas: list[str]) -> None:
    assert sorted(path.name for path in (project / "data").iterdir()) == ["Bob", "Cy", "Di"]
    assert files("with") == {"published/metrics.json"}
    assert files("without") == {"published/metrics.json", "published/report.html", "grids/test.png", "notes.txt"}
    assert tag("with")
    assert tag("without") is None
    left = {path.relative_to(project / "outputs").as_posix() for path in (project / "outputs").rglob("*.*")}
    untouched = {f"without/{name}" for name in ("report.html", "metrics.json", "model_card.md", "data_docs/index.html")}
    assert left == {"with/metrics.json", "with/model_card.md", *untouched}
    assert not (state / "forgetting.json").exists()
    assert not (state / "logs" / "run.log").exists()
    assert not (state / "data_docs" / "photos.html").exists()
    stones = Tombstones.read(project)
    assert all(stones.hold(("photo", sha)) for sha in shas)
    assert "Ada" not in (project / "forgotten.json").read_text()


def test_pictures_and_names_go_figures_stay_and_others_are_left_alone(project, state):
    shas = [sha256_file(path) for path in sorted((project / "data" / "Ada Lovelace").iterdir())]
    outcome = forget(survey(ADA), "asked")
    assert outcome.left == []
    assert_forgotten(project, state, shas)
    [use] = outcome.versions
    assert use.said == "demo/1: trained on 2 photos of this person: retrain or delete it"
    client = mlflow.MlflowClient()
    assert client.get_model_version("facerecon-demo", "1").tags["forgotten"] == tag("with")
    assert "forgotten" not in client.get_model_version("facerecon-demo", "2").tags


def test_degraded_faces_are_shown_and_go_and_what_cannot_be_removed_is_told(project, state):
    shas = [sha256_file(path) for path in sorted((project / "data" / "Ada Lovelace").iterdir())]
    hers, blocked = freeze(state, shas), state / "cases" / "inpainting" / "code" / "mild-8px-x1-seed0-0.npz"
    blocked.mkdir(parents=True)
    found = survey(ADA)
    assert found.frozen == [str(blocked), str(hers)]
    [line] = forget(found, "asked").left
    assert "inpainting/code/mild-8px-x1-seed0-0.npz: degraded faces of them may be in it" in line
    assert not hers.exists()


def test_of_somebody_forgotten_it_says_so_and_of_a_stranger_who_was_meant(project, state, monkeypatch):
    forget(survey(ADA), "asked")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter([]))  # the rows are gone from them
    [group] = Tombstones.read(project).groups
    said = rf"^identity 'Ada Lovelace' is forgotten already \(group {group['id']} in forgotten.json\), and no photo"
    with pytest.raises(FaceReconError, match=said):
        survey(ADA)
    for name, meant in (("Ada Lovelac", "names match exactly"), ("Cyy", r"did you mean Cy\?")):
        with pytest.raises(FaceReconError, match=rf"no photo of identity '{name}' is known: {meant}"):
            survey(Target("identity", name))
    assert "Ada" not in (state / "forgotten_names.json").read_text() + (project / "forgotten.json").read_text()


def test_a_reason_that_is_no_text_is_refused_before_anything_is_removed(project):
    with pytest.raises(FaceReconError, match=r"the reason holds '\\udce9'"):
        forget(survey(ADA), "caf\udce9")
    assert len(survey(ADA).traces) == 2


@pytest.mark.parametrize(
    "step",
    [
        *("uses", "remove_photos", "remove_frames", "remove_crops", "remove_frozen"),
        *("clear_runs", "clear_artifacts", "_in_git", "sweep"),
    ],
)
def test_killed_anywhere_the_same_command_finishes(project, state, monkeypatch, step):
    shas = [sha256_file(path) for path in sorted((project / "data" / "Ada Lovelace").iterdir())]
    others = [sha256_file(path) for path in sorted((project / "data" / "Bob").iterdir())]
    remaining = freeze(state, others)
    expected = remaining.read_bytes()
    remaining.unlink()
    freeze(state, [*shas, *others])
    found = survey(ADA)
    real = getattr(removal, step)

    def die(*arguments, **options):
        real(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, step, die)
        with pytest.raises(KeyboardInterrupt):
            forget(found, "asked")
    # the manifests may be gone by now
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(()))
    with pytest.raises(
        FaceReconError, match="an earlier `facerecon forget --identity 'Ada Lovelace'` was not finished"
    ):
        survey(Target("identity", "Bob"))
    outcome = forget(survey(ADA), "asked")
    assert outcome.left == []
    assert [use.photos["train"] for use in outcome.versions] == [2]
    assert_forgotten(project, state, shas)
    assert list(remaining.parent.iterdir()) == [remaining]
    assert remaining.read_bytes() == expected


def test_what_is_not_there_changes_nothing(project, state):
    with pytest.raises(FaceReconError, match="did you mean Ada Lovelace"):
        survey(Target("identity", "Ada Lovelac"))
    assert not (project / "forgotten.json").exists()
    assert not (state / "forgetting.json").exists()


def test_a_reason_that_names_the_person_is_refused(project):
    found = survey(ADA)
    with pytest.raises(FaceReconError, match="--reason: it names who is to be forgotten"):
        check_reason(found, "ada lovelace wrote on Monday")
    check_reason(found, "asked on 2026-11-21")


def test_tags_descriptions_and_traces_that_name_the_person_go_and_parameters_are_told(project, state):
    client = mlflow.MlflowClient()
    with mlflow.start_run(run_name="by hand") as run:
        mlflow.set_tags({"seen": "worse on Ada Lovelace/0.png, better on Bob", "config": "demo"})
        mlflow.set_tag("about Ada Lovelace", "1")
        mlflow.log_param("splits.people.val", "Ada Lovelace")
        with mlflow.start_span("look") as span:
            span.set_inputs({"who": "Ada Lovelace"})
    mlflow.flush_trace_async_logging()
    client.set_model_version_tag("facerecon-demo", "2", "seen", "worse on Ada Lovelace")
    client.update_model_version("facerecon-demo", "2", "asked by Ada Lovelace")
    client.update_registered_model("facerecon-demo", "known to Ada Lovelace")
    [told] = forget(survey(ADA), "asked").left
    number = run.info.run_id
    assert f"MLflow's run {number}: its parameter splits.people.val names the person still" in told
    assert f"WHERE run_uuid = '{number}' AND key = 'splits.people.val'" in told
    tags = client.get_run(number).data.tags
    assert (tags["seen"], tags["config"]) == ("worse on forgotten/0.png, better on Bob", "demo")
    assert "about Ada Lovelace" not in tags
    version = client.get_model_version("facerecon-demo", "2")
    assert (version.tags["seen"], version.description) == ("worse on forgotten", "asked by forgotten")
    assert client.get_registered_model("facerecon-demo").description == "known to forgotten"
    assert client.search_traces(locations=[run.info.experiment_id]) == []


def test_a_config_that_is_called_like_the_person_keeps_its_tags(project, state):
    with mlflow.start_run(run_name="by hand") as run:
        mlflow.set_tag("config", "Ada Lovelace")
    [told] = forget(survey(ADA), "asked").left
    assert f"MLflow's run {run.info.run_id}: its tags config name the person, or what is called the same" in told
    assert mlflow.get_run(run.info.run_id).data.tags["config"] == "Ada Lovelace"


def test_of_a_run_that_was_deleted_pictures_go_too_and_it_stays_deleted(project, state):
    client = mlflow.MlflowClient()
    [run] = mlflow.search_runs(filter_string="run_name = 'with'", output_format="list")
    client.delete_run(run.info.run_id)
    forget(survey(ADA), "asked")
    [after] = [each for each in every_run(client) if each.info.run_name == "with"]
    assert (after.info.lifecycle_stage, "forgotten" in after.data.tags) == ("deleted", True)
    assert files_below(get_artifact_repository(after.info.artifact_uri)) == ["published/metrics.json"]


def test_what_still_names_the_person_is_told(project, state):
    (state / "promotions.jsonl").write_text('{"reason": "sharper on Ada Lovelace"}')
    with sqlite3.connect(state / "own.db") as database:
        database.execute("CREATE TABLE deleted (name TEXT)")
        database.execute("INSERT INTO deleted VALUES ('Ada Lovelace')")
        database.execute("DELETE FROM deleted")
    database.close()
    left = forget(survey(ADA), "asked").left
    assert len(left) == 1
    assert "promotions.jsonl: names the person still" in left[0]
    assert b"Ada" not in (state / "own.db").read_bytes()


def test_what_names_the_person_among_the_data_is_told(project, state):
    data = project / "data"
    (data / "list.txt").write_text("Bob\nAda Lovelace\n")
    (data / "Bob" / "0.json").write_text('{"with": "Ada Lovelace/1.png"}')
    (data / "about.txt").write_text("Ada Lovelacey and Bob")
    told = ["data/Bob/0.json", "data/list.txt"]
    line = "{}: names the person still: remove it, or the lines in it"
    assert forget(survey(ADA), "asked").left == [line.format(path) for path in told]


def test_rows_about_the_person_go_from_lists_that_the_source_knows(project, state, monkeypatch):
    """Killed before the lists, with the manifests gone and no config that names the root: the survey knows it."""
    faces = project / "lfw"
    for number, name in enumerate(("Ada_B", "Bob_C")):
        (faces / name).mkdir(parents=True)
        pixels = np.random.default_rng(90 + number).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(faces / name / f"{name}_0001.jpg")
    (faces / "people.txt").write_text("2\nAda_B\t1\nBob_C\t1\n")
    manifest = ingest(DataSettings(source="lfw", path="lfw"), project, state / "frames")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter([(manifest, [])]))
    target = Target("identity", "Ada_B")
    found = survey(target)
    assert str(faces / "people.txt") in found.data

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove_photos", die)
        with pytest.raises(KeyboardInterrupt):
            forget(found, "asked")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(()))
    assert forget(survey(target), "asked").left == []
    assert (faces / "people.txt").read_text() == "1\nBob_C\t1\n"
    assert sorted(path.name for path in faces.iterdir()) == ["Bob_C", "people.txt"]


def test_of_several_sources_photos_go_from_each(project, state, monkeypatch):
    """A config that names a list; a manifest of two folders with equal uris, and one of another folder alone."""
    for number, name in enumerate(("Ada Lovelace", "Bob")):
        (project / "more" / name).mkdir(parents=True)
        pixels = np.random.default_rng(70 + number).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(project / "more" / name / "0.png")
    both = [{"path": "data"}, {"name": "more", "path": "more"}]
    (project / "configs" / "both.yaml").write_text(json.dumps({"parameters": {"data": both}}))
    joined = ingest([DataSettings(**source) for source in both], project, state / "frames")
    other = ingest(DataSettings(path=str(project / "more" / "Bob")), project, state / "frames")
    manifests = [*zenml_artifacts.manifests(), (joined, []), (other, [])]
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(manifests))
    found = survey(ADA)
    assert {Path(root).name for _, root in found.roots} == {"data", "more", "Bob"}
    photos = joined.faces[joined.faces["uri"].str.startswith(ADA.name)]
    assert set(photos["identity"]) == {"folder:Ada Lovelace", "more:Ada Lovelace"}
    assert sum(found.manifests[joined.digest].values()) == 3
    assert other.digest not in found.manifests
    assert forget(found, "asked").left == []
    for folder in ("data", "more"):
        assert not (project / folder / ADA.name).exists()
        assert (project / folder / "Bob" / "0.png").exists()
    again = ingest([DataSettings(**source) for source in both], project, state / "frames")
    assert not again.faces["identity"].str.contains("Ada").any()


def test_a_later_request_knows_the_models_although_the_manifest_is_gone(project, state, monkeypatch):
    forget(survey(ADA), "asked")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(()))
    [use] = forget(survey(Target("identity", "Cy")), "asked").versions
    assert use.said == "demo/1: not trained on this person; 2 photos in test"
    kept = "".join(path.read_text() for path in (state / "members").iterdir())
    assert "Ada" not in kept
    assert sha256_file(project / "data" / "Bob" / "0.png") not in kept


def test_a_version_that_only_met_the_person_in_other_splits_says_so():
    use = Use("facerecon-demo", 3, ("champion",), {"train": 0, "val": 0, "gate": 1, "test": 2})
    assert use.said == "demo/3, champion: not trained on this person; 1 photos in gate, 2 photos in test"


def test_without_any_run_there_is_only_data_to_forget(project, monkeypatch, tmp_path):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "none"))
    mlflow.set_tracking_uri(f"sqlite:///{(tmp_path / 'none' / 'mlflow.db').resolve()}")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(()))
    found = survey(ADA)
    assert uses(found) == []
    assert forget(found, "asked").left == []
    assert not (project / "data" / "Ada Lovelace").exists()
    assert isinstance(ingest(DataSettings(path="data"), project, tmp_path / "frames").faces, pd.DataFrame)
