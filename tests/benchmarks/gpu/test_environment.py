"""What must hold before anything is imported."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu import environment
from benchmarks.gpu.environment import PROJECT, KitError, missing, packages, provide, read_about, tree_digest


def test_the_digest_is_over_the_code_that_runs(tmp_path: Path) -> None:
    for folder in ("benchmarks", "facerecon"):
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=ignored)
    before = tree_digest(tmp_path)
    assert before == tree_digest()
    (tmp_path / "facerecon" / "notes.md").write_text("no code")
    assert tree_digest(tmp_path) == before
    with (tmp_path / "facerecon" / "randomness.py").open("a") as stream:
        stream.write("# changed\n")
    changed = tree_digest(tmp_path)
    assert changed != before
    (tmp_path / "facerecon" / "new.py").touch()
    assert tree_digest(tmp_path) not in (before, changed)


def test_a_kit_of_other_code_is_refused(kit: Path) -> None:
    assert read_about(kit)["tree"] == tree_digest()
    about = json.loads((kit / "kit.json").read_text())
    (kit / "kit.json").write_text(json.dumps({**about, "tree": "0" * 64}))
    with pytest.raises(KitError, match=r"built from commit 4711abc .*this tree is another.*make gpu-kit"):
        read_about(kit)
    assert read_about(kit, any_code=True)["commit"] == "4711abc"


@pytest.mark.parametrize("name", ["faces.safetensors", "kit.json"])
def test_a_damaged_kit_is_refused(kit: Path, name: str) -> None:
    content = (kit / name).read_bytes()
    (kit / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(KitError, match=r"make gpu-kit"):
        read_about(kit)
    (kit / name).unlink()
    with pytest.raises(KitError, match=r"missing|no kit"):
        read_about(kit)


def test_what_is_missing_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() == []
    listed = packages() | {"no_such_module": "no-such-distribution==1.2"}
    monkeypatch.setattr(environment, "packages", lambda needed=False: listed)
    with pytest.raises(KitError, match=r"missing here.*no-such-distribution==1\.2 \(Python 3\.") as error:
        provide(tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_missing_comes_from_the_kits_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "brought-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("brought_by_a_wheel.py", "FROM = 'the kit'\n")
    monkeypatch.setattr(environment, "CARRIED", {"brought_by_a_wheel": "brought"})
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    provide(tmp_path)
    assert __import__("brought_by_a_wheel").FROM == "the kit"


def test_indirect_packages_need_not_be_there() -> None:
    assert packages(needed=True).items() < packages().items()
    assert "torch" in packages(needed=True)
    assert "six" not in packages(needed=True)
