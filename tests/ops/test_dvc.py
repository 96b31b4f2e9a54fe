"""DVC as it is set up here: the stage, what it depends on, figures across commits, the sample set, other remotes.

DVC, git and S3's server are real; a small program stands in for ZenML, which `tests/pipelines/test_dvc.py` runs.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli import main as dvc_main
from dvc.repo import Repo

from facerecon.files import sha256_file
from facerecon.synthetic import write_dataset
from facerecon.weights import weights_path
from facerecon.workspace import PROJECT
from ops import lineage
from ops.publishing import write_figures

SAMPLE = PROJECT / ".dvc" / "sample"
DEPENDENCIES = ("configs/expectations/default.yaml", "facerecon/model.py", "ops/runs.py", "pipelines/training.py")
DEPENDENCIES += ("requirements.lock", "steps/train.py", "training.py")

EMPTY = "d751713988987e9331980363e24189ce.dir"
"""DVC's digest of an empty folder."""

ZENML = """#!/bin/sh
echo "$*" >> ../ran
name=$(basename "$5" .yaml)
mkdir -p outputs
test ! -e "outputs/$name" && cp -r ../published "outputs/$name"
"""


@dataclass
class Project:
    """A git and DVC repository with this project's own DVC files; ``dvc`` runs a command in it, in this process."""

    root: Path
    said: Callable[[], str]
    made: Any

    def publish(self, psnr: float) -> None:
        """What the pipeline's next run leaves; the model's hole PSNR falls by 1 dB a level."""
        publish(self.root.parent / "published", self.made, psnr)

    def try_dvc(self, *command: str) -> tuple[int, str]:
        """How the command ends and what it says."""
        code = dvc_main([*command])
        return code, self.said()

    def dvc(self, *command: str) -> str:
        """What the command says, which must end well."""
        code, said = self.try_dvc(*command)
        assert code == 0, said
        return said

    def figures(self) -> dict[str, dict[str, float]]:
        """What `dvc metrics show` shows: path -> figures."""
        with Repo(str(self.root)) as repo:
            return {path: shown["data"] for path, shown in repo.metrics.show()[""]["data"].items()}

    def changes(self, since: str) -> dict[str, dict[str, dict[str, float]]]:
        """What `dvc metrics diff` shows: path -> name -> old, new, diff."""
        with Repo(str(self.root)) as repo:
            return repo.metrics.diff(a_rev=since)["diff"]

    def runs(self) -> list[str]:
        """What the pipeline's command was called with, run after run."""
        ran = self.root.parent / "ran"
        return ran.read_text().splitlines() if ran.exists() else []

    def repro(self) -> bool:
        """Whether `dvc repro` ran the pipeline."""
        before = len(self.runs())
        self.dvc("repro")
        return len(self.runs()) > before

    def commit(self, message: str) -> None:
        git(self.root, "add", "-A")
        git(self.root, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qm", message)


def publish(folder: Path, made: Any, psnr: float) -> None:
    write_figures(folder, made.evaluation(psnr), made.result(), made.decision(psnr))


def git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout


def write_empty_listing(root: Path) -> None:
    """What dvc.lock names as outputs before the first run: a folder with nothing in it."""
    path = root / ".dvc/cache/files/md5" / EMPTY[:2] / EMPTY[2:]
    path.parent.mkdir(parents=True)
    path.write_text("[]")


@pytest.fixture
def project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    published_by: Any,
) -> Project:
    root = tmp_path / "project"
    for name in ("dvc.yaml", "dvc.lock", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, root / name)
    for name in DEPENDENCIES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("value: 1\n")
    for name in ("demo", "lfw"):
        (root / f"configs/{name}.yaml").write_text(f"parameters:\n  name: {name}\n  training:\n    steps: 900\n")
    (root / "data/faces/a").mkdir(parents=True)
    (root / "data/faces/a/1.jpg").write_bytes(b"a private face")
    (root / "README.md").write_text("hello\n")
    program = tmp_path / "bin" / "zenml"
    program.parent.mkdir()
    program.write_text(ZENML)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(root)
    # neither the user's own settings nor a cache shared with others
    for variable, folder in (("DVC_GLOBAL_CONFIG_DIR", "global"), ("DVC_SYSTEM_CONFIG_DIR", "system")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    git(root, "init", "-q")
    write_empty_listing(root)

    def said() -> str:
        text = "".join(capsys.readouterr()) + caplog.text
        caplog.clear()
        return text

    made = Project(root, said, published_by)
    made.dvc("add", "--quiet", "data")
    made.commit("first")
    made.publish(20.0)
    return made


def test_the_stage_runs_the_pipeline_once_and_owns_its_outputs(project: Project) -> None:
    assert project.repro()
    assert project.runs() == ["pipeline run training -c configs/demo.yaml"]
    assert "Data and pipelines are up to date." in project.dvc("repro")
    assert len(project.runs()) == 1
    assert "outputs/demo" in project.dvc("stage", "list")
    assert git(project.root, "status", "--porcelain") == " M dvc.lock\n", "data and outputs are none of git's"


def test_what_the_run_depends_on_runs_it_again_and_nothing_else_does(project: Project) -> None:
    project.repro()
    for name in DEPENDENCIES:
        (project.root / name).write_text("value: 2\n")
        assert project.repro(), name
    config = project.root / "configs/demo.yaml"
    config.write_text(config.read_text().replace("900", "901"))
    assert project.repro()
    (project.root / "data/faces/a/2.jpg").write_bytes(b"another face")
    assert project.repro()
    assert "data.dvc" in git(project.root, "diff", "--stat"), "data.dvc names the data that was used"

    config.write_text("# a remark\n" + config.read_text())
    (project.root / "README.md").write_text("good morning\n")
    (project.root / "configs/lfw.yaml").write_text("parameters: {name: lfw}\n")
    (project.root / "facerecon/__pycache__").mkdir()
    (project.root / "facerecon/__pycache__/model.cpython-311.pyc").write_bytes(b"compiled")
    (project.root / "data/lfw").symlink_to(project.root.parent)  # too large to be copied: a link to where it lies
    assert not project.repro()


def test_another_config_is_one_line(project: Project) -> None:
    project.repro()
    stage = project.root / "dvc.yaml"
    stage.write_text(stage.read_text().replace("config: demo", "config: lfw"))
    assert project.repro()
    assert project.runs()[-1] == "pipeline run training -c configs/lfw.yaml"
    assert "outputs/lfw/figures/test/brush_level_1.json" in project.figures()
    stage.write_text(stage.read_text().replace("config: lfw", "config: demo"))
    assert not project.repro(), "DVC remembers what it was made of"
    assert (project.root / "outputs/demo/plots/training.csv").is_file()


def test_figures_are_shown_and_compared_across_commits(project: Project) -> None:
    project.repro()
    project.commit("20 dB")
    project.publish(20.51239)
    (project.root / "facerecon/model.py").write_text("value: 3\n")
    project.repro()
    case = "outputs/demo/figures/test/brush_level_2.json"
    assert project.figures()[case]["gain_over_telea"] == 2.0124
    found = project.changes("HEAD")[case]["hole_psnr"]
    assert (found["old"], found["new"], found["diff"]) == (18.0, 18.5124, pytest.approx(0.5124))
    project.commit("20.5 dB")
    shutil.rmtree(project.root / "outputs")
    assert project.changes("HEAD~1")[case]["hole_psnr"]["old"] == 18.0
    git(project.root, "checkout", "-q", "HEAD~1")
    project.dvc("checkout", "--quiet")
    assert json.loads((project.root / case).read_text())["hole_psnr"] == 18.0


def test_plots_show_the_curves_of_several_commits(project: Project) -> None:
    project.repro()
    project.commit("20 dB")
    project.publish(21.0)
    (project.root / "facerecon/model.py").write_text("value: 3\n")
    project.repro()
    said = project.dvc("plots", "diff", "HEAD")
    assert "WARNING" not in said
    page = (project.root / "dvc_plots/index.html").read_text()
    for title in (
        "training loss",
        "what the checkpoint is chosen by, on validation faces",
        "headline figure on test faces",
    ):
        assert title in page
    drawn = [f'"{name}"' for name in ("loss", "checkpoint_key", "baseline")]
    assert all(name in page for name in drawn)
    assert git(project.root, "status", "--porcelain", "dvc_plots") == ""


def test_equal_trainings_leave_equal_figures_and_no_time_and_nothing_of_an_earlier_run(
    tmp_path: Path, published_by: Any
) -> None:
    slower = [row | {"images_per_second": 1.0} for row in published_by.history]
    again = replace(published_by, result=lambda: published_by.result(slower))
    for name, made in (("one", published_by), ("two", again)):
        publish(tmp_path / name, made, 20.0)
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")}
    assert len(files) == 3 + 1 + 1 + 3
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
        assert "images_per_second" not in (tmp_path / "one" / path).read_text()
    assert (tmp_path / "one/plots/training.csv").read_text() == "step,loss\n10,2.5\n20,1.5\n25,1.0\n"
    assert (tmp_path / "one/plots/validation.csv").read_text() == "step,checkpoint_key\n10,0.3\n20,0.1\n"
    assert (tmp_path / "one/plots/headline.csv").read_text().splitlines()[:2] == [
        "level,model,baseline",
        "1,19.0,17.5",
    ]
    best = json.loads((tmp_path / "one/figures/best_validation.json").read_text())
    assert best == {"hole_l1/brush": 0.1, "hole_psnr/brush": 19.0, "step": 20}
    stale = tmp_path / "one/figures/test/noise_level_1.json"
    stale.write_text("{}")
    publish(tmp_path / "one", published_by, 20.0)
    assert not stale.exists()


def test_the_digest_is_read_while_dvc_holds_its_lock_and_without_dvc_yaml(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "PROJECT", project.root)
    expected = yaml.safe_load((project.root / "data.dvc").read_text())["outs"][0]["md5"]
    with Repo(str(project.root)) as repo, repo.lock:
        assert lineage.dvc_digest() == expected
    (project.root / "dvc.yaml").write_text("stages: [broken")
    assert lineage.dvc_digest() == expected


def test_the_note_of_a_run_is_no_difference_of_its_code(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "PROJECT", project.root)
    project.repro()
    assert (project.root / "dvc.lock").is_file()
    assert lineage.uncommitted_diff() == ""


# the sample set


def with_sample(project: Project) -> None:
    shutil.copytree(SAMPLE, project.root / ".dvc" / "sample")
    shutil.copy(PROJECT / "data.dvc", project.root / "data.dvc")
    shutil.rmtree(project.root / "data")


@pytest.fixture
def needs_sample() -> None:
    if not SAMPLE.is_dir():
        pytest.fail(".dvc/sample is not there: it is part of the repository")


def test_the_sample_set_comes_from_the_repository_itself_as_it_is_drawn(
    project: Project, needs_sample: None, sample_faces: Path
) -> None:
    with_sample(project)
    shutil.rmtree(project.root / ".dvc" / "cache")
    project.dvc("pull", "--quiet", "--remote", "sample")
    pulled = project.root / "data/sample"
    assert len(list(pulled.glob("person_*/photo_*.jpg"))) == 600
    drawn = sorted(sample_faces.glob("person_*/photo_*.jpg"))
    assert len(drawn) == 16
    for photo in drawn:
        assert sha256_file(photo) == sha256_file(pulled / photo.relative_to(sample_faces)), photo.name
    assert json.loads((pulled / "person_0149/truth.json").read_text())["identity_number"] == 149


@pytest.mark.slow
def test_the_whole_sample_set_is_what_is_drawn(tmp_path: Path, needs_sample: None) -> None:
    write_dataset(tmp_path / "sample", weights_path("face_landmarker"))
    listing = yaml.safe_load((PROJECT / "data.dvc").read_text())["outs"][0]["md5"]
    recorded = {entry["relpath"]: entry["md5"] for entry in json.loads(object_path(listing).read_text())}
    drawn = {path: hashlib.md5(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*") if path.is_file()}
    assert {str(path.relative_to(tmp_path)): digest for path, digest in drawn.items()} == recorded


def test_pulling_the_sample_set_removes_no_photo_of_ones_own(project: Project, needs_sample: None) -> None:
    with_sample(project)
    own = project.root / "data/own/1.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"the only copy")
    code, _ = project.try_dvc("pull", "--quiet", "--remote", "sample", "data.dvc")
    assert code != 0, "`make sample` then draws"
    assert own.read_bytes() == b"the only copy"


def test_the_sample_set_is_small_and_committed_whole(needs_sample: None) -> None:
    sizes = {path: path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 1_000_000
    assert sum(sizes.values()) < 12_000_000
    listing = yaml.safe_load((PROJECT / "data.dvc").read_text())["outs"][0]["md5"]
    wanted = {EMPTY, listing, *(entry["md5"] for entry in json.loads(object_path(listing).read_text()))}
    assert {path.parent.name + path.name for path in sizes} == wanted, "no more and no less than data.dvc names"


def test_the_lock_of_a_fresh_clone_names_outputs_that_any_clone_can_pull() -> None:
    """DVC's plain `pull` wants all outputs of all stages: before the first run that is an empty folder."""
    stage = yaml.safe_load((PROJECT / "dvc.lock").read_text())["stages"]["training"]
    assert stage["outs"] == [{"path": "outputs/demo", "hash": "md5", "md5": EMPTY, "size": 0, "nfiles": 0}]
    assert "deps" not in stage, "so that `dvc repro` runs"


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="no git checkout")
def test_git_has_the_sample_set(needs_sample: None) -> None:
    committed = set(git(PROJECT, "ls-files", ".dvc/sample").splitlines())
    lying = {str(path.relative_to(PROJECT)) for path in SAMPLE.rglob("*") if path.is_file()}
    assert committed == lying, "`git add --force .dvc/sample`"


def object_path(digest: str) -> Path:
    return SAMPLE / "files" / "md5" / digest[:2] / digest[2:]


# a user's own remote


def forget_local_data(project: Project) -> None:
    """What another clone has not."""
    for name in (".dvc/cache", "data", "outputs"):
        shutil.rmtree(project.root / name, ignore_errors=True)


def sample_files(project: Project) -> list[Path]:
    return [path for path in (project.root / ".dvc" / "sample").rglob("*") if path.is_file()]


def test_without_a_remote_of_ones_own_nothing_is_pushed(project: Project) -> None:
    code, said = project.try_dvc("push")
    assert code != 0
    assert "no remote" in said
    assert sample_files(project) == []


def test_a_face_that_is_pushed_to_the_sample_set_by_mistake_stays_out_of_git(project: Project) -> None:
    project.dvc("push", "--quiet", "--remote", "sample")
    assert len(sample_files(project)) >= 2
    git(project.root, "add", "-A")
    assert git(project.root, "status", "--porcelain") == ""


def test_ones_own_remote_is_used_by_push_and_pull_and_the_sample_set_is_not(project: Project, tmp_path: Path) -> None:
    project.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    project.repro()
    project.dvc("push", "--quiet")
    forget_local_data(project)
    project.dvc("pull", "--quiet")
    assert (project.root / "data/faces/a/1.jpg").read_bytes() == b"a private face"
    assert (project.root / "outputs/demo/plots/training.csv").is_file()
    assert sample_files(project) == []
    assert git(project.root, "status", "--porcelain") == " M dvc.lock\n", "a local setting is none of git's"


def command_line(*command: str) -> None:
    """Run DVC as a process of its own."""
    done = subprocess.run([Path(sys.executable).parent / "dvc", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_ones_own_remote_may_be_an_s3_store(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (
        credentials | {"AWS_CONFIG_FILE": str(project.root / "none"), "AWS_EC2_METADATA_DISABLED": "true"}
    ).items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        store = boto3.client("s3", endpoint_url=address)
        store.create_bucket(Bucket="faces")
        command_line("remote", "add", "--local", "--default", "store", "s3://faces/dvc")
        command_line("remote", "modify", "--local", "store", "endpointurl", address)
        command_line("push", "--quiet")
        assert len(store.list_objects_v2(Bucket="faces", Prefix="dvc/files/md5/")["Contents"]) >= 2
        forget_local_data(project)
        command_line("pull", "--quiet")
        assert (project.root / "data/faces/a/1.jpg").read_bytes() == b"a private face"
        assert sample_files(project) == []
    finally:
        server.stop()
