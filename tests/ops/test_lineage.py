import subprocess

import pytest

from facerecon.run import parse_settings
from ops import lineage, machine
from ops.initial_weights import InitialWeights


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two files under git, in place of this one."""
    (tmp_path / "facerecon").mkdir()
    (tmp_path / "facerecon" / "a.py").write_text("A = 1\n")
    (tmp_path / "README.md").write_text("hello\n")
    (tmp_path / "requirements.lock").write_text("x==1\n")
    monkeypatch.setattr(lineage, "PROJECT", tmp_path)
    monkeypatch.setattr(lineage, "LOCK", tmp_path / "requirements.lock")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_difference_is_a_patch_that_makes_the_working_tree_again(project):
    assert lineage.uncommitted_diff() == ""
    (project / "facerecon" / "a.py").write_text("A = 2\n")
    (project / "facerecon" / "new.py").write_text("B = 1\n")
    (project / "bytes.bin").write_bytes(bytes(range(256)))
    (project / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (project / "README.md").unlink()
    staged = subprocess.run(["git", "diff", "--cached"], cwd=project, capture_output=True, check=True).stdout
    patch = project.parent / "patch"
    patch.write_bytes(lineage.uncommitted_diff().encode("utf-8", "surrogateescape"))
    again = project.parent / "again"
    subprocess.run(["git", "clone", "-q", str(project), str(again)], check=True)
    subprocess.run(["git", "apply", "--binary", str(patch)], cwd=again, check=True)
    for name in ("facerecon/a.py", "facerecon/new.py", "bytes.bin", "latin.txt"):
        assert (again / name).read_bytes() == (project / name).read_bytes(), name
    assert not (again / "README.md").exists()
    assert staged == b"", "the user's own index must not be touched"


def test_equal_working_trees_have_equal_differences(project):
    (project / "facerecon" / "a.py").write_text("A = 2\n")
    assert lineage.uncommitted_diff() == lineage.uncommitted_diff() != ""


def test_tags_tell_settings_apart(project):
    def tags(**parameters):
        return lineage.run_provenance(parse_settings(parameters, "test"), None)

    one, same, other = tags(), tags(), tags(training={"steps": 70})
    assert one == same
    assert one["config_digest"] != other["config_digest"]
    assert one["task"] == "inpainting"
    assert one["git_diff_digest"] == "clean"
    assert one["data_dvc_digest"] == "not tracked"
    assert "initial_weights" not in one
    assert all(isinstance(value, str) and value for value in one.values())


def test_tags_say_which_weights_a_training_starts_from(project):
    initial = InitialWeights(digest="d" * 64, source="facerecon-demo version 3", uri="somewhere")
    plain, warm = (lineage.run_provenance(parse_settings({}, "test"), each) for each in (None, initial))
    assert warm == plain | {"initial_weights": "d" * 64, "initial_weights_from": "facerecon-demo version 3"}


@pytest.mark.parametrize("name", ["resume_from", "init_from"])
def test_where_a_training_goes_on_from_is_no_part_of_what_it_is(name):
    plain, named = (parse_settings({"training": {name: value}}, "test") for value in (None, "elsewhere"))
    assert plain.digest == named.digest


def test_the_machine_says_what_trains_and_how():
    found = machine.machine(parse_settings({"training": {"accelerator": "cpu", "threads": 2}}, "test").training)
    assert list(found) == ["device", "threads", "precision", "container"]
    assert found["threads"] == "2"
    assert found["precision"] in ("32-true", "bf16-mixed")
    assert all(found.values())


def test_a_step_follows_the_code_of_its_own_part_only():
    settings = parse_settings({}, "test")
    assert lineage.named_modules(settings, "ingest") == ["facerecon.data.sources.folder"]
    named = {step: lineage.named_modules(settings, step) for step in ("align", "freeze_cases", "train", "promote")}
    assert named["align"] == []
    assert named["freeze_cases"] == ["facerecon.tasks.inpainting", "facerecon.tasks.inpainting.cases"]
    assert "facerecon.models.unet_fill" in named["train"]
    assert "facerecon.tasks.inpainting.gate" not in named["train"]
    assert "facerecon.tasks.inpainting.training" not in named["promote"]


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


def test_weights_that_are_not_used_are_not_named():
    off = parse_settings({"training": {"losses": {"perceptual": 0, "identity": 0}}}, "test")
    assert sorted(lineage.pretrained_of(off)) == ["dlib", "face_landmarker", "lpips_vgg"]


def test_what_is_written_into_the_onnx_file_does_not_change_by_itself():
    first, second = (lineage.onnx_metadata(parse_settings({}, "test")) for _ in range(2))
    assert first == second
    assert "1 = hole" in first["mask_polarity"]
    assert (first["task"], first["family"]) == ("inpainting", "unet_fill")
