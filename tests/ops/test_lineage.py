import subprocess

import pytest

from facerecon.config.run import RunSettings, parse_settings
from ops import lineage


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two files under git, in place of this one."""
    (tmp_path / "facerecon").mkdir()
    (tmp_path / "facerecon" / "a.py").write_text("A = 1\n")
    (tmp_path / "README.md").write_text("hello\n")
    (tmp_path / "requirements.lock").write_text("x==1\n")
    monkeypatch.setattr(lineage, "PROJECT", tmp_path)
    monkeypatch.setattr(lineage, "LOCK", tmp_path / "requirements.lock")
    lineage.code_digest.cache_clear()
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    yield tmp_path
    lineage.code_digest.cache_clear()


def digest() -> str:
    lineage.code_digest.cache_clear()
    return lineage.code_digest()


def test_the_code_digest_follows_code_and_lock_but_not_the_readme(project):
    before = digest()
    (project / "README.md").write_text("changed\n")
    assert digest() == before
    (project / "facerecon" / "a.py").write_text("A = 2\n")
    changed = digest()
    assert changed != before
    (project / "requirements.lock").write_text("x==2\n")
    assert digest() != changed


def test_the_difference_names_changed_and_new_files(project):
    assert lineage.uncommitted_diff() == ""
    (project / "facerecon" / "a.py").write_text("A = 2\n")
    (project / "facerecon" / "new.py").write_text("B = 1\n")
    diff = lineage.uncommitted_diff()
    assert "+A = 2" in diff
    assert "new file facerecon/new.py" in diff


def test_tags_tell_settings_apart(project):
    def tags(**parameters):
        return lineage.run_tags(parse_settings(parameters, "test"), "m", "k", "w")

    one, same, other = tags(), tags(), tags(training={"steps": 7})
    assert one == same
    assert one["config_digest"] != other["config_digest"]
    assert one["git_diff_digest"] == "clean"
    assert one["data_dvc_digest"] == "not tracked"
    assert all(isinstance(value, str) and value for value in one.values())


def test_dvc_digest_says_when_the_data_changed(project, monkeypatch):
    from dvc.repo import Repo

    monkeypatch.chdir(project)
    (project / "data").mkdir()
    (project / "data" / "face.txt").write_text("face")
    repo = Repo.init(str(project))
    repo.add("data")
    repo.close()
    monkeypatch.undo()
    monkeypatch.setattr(lineage, "PROJECT", project)
    before = lineage.dvc_digest()
    assert before.endswith(".dir")
    (project / "data" / "face.txt").write_text("another")
    assert lineage.dvc_digest() == f"{before} (changed since)"


def test_the_loss_networks_follow_the_settings():
    assert lineage.weights_in_loss(RunSettings()) == ["lpips_alex", "sface"]
    off = parse_settings({"training": {"losses": {"perceptual": 0, "identity": 0}}}, "test")
    assert lineage.weights_in_loss(off) == []
    assert lineage.weights_used(off) == ["face_landmarker", "lpips_vgg", "sface"]


def test_what_is_written_into_the_onnx_file_does_not_change_by_itself():
    assert lineage.onnx_metadata(RunSettings()) == lineage.onnx_metadata(RunSettings())
    assert "1 = hole" in lineage.onnx_metadata(RunSettings())["mask_polarity"]
