"""What made a stored thing: code, with all that it imports of the project, and versions of packages."""

import sys
from importlib import import_module
from pathlib import Path

import cv2
import pytest

from facerecon.data import geometry, provenance
from facerecon.data.provenance import made_by, sources_of
from facerecon.perception import landmarks


def test_the_sources_of_a_module_are_its_own_and_those_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inner", "below", "late", "beside"):
        (tmp_path / "made" / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / "made" / f"{name}.py").write_text("ONE = 1\n")
    (tmp_path / "made" / "__init__.py").touch()
    (tmp_path / "made" / "inner.py").write_text("import json\nfrom made.below import ONE\n")
    (tmp_path / "made" / "below.py").write_text("import made.inner\nONE = 1\ndef f():\n    from made import late\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", "made")
    try:
        inner = import_module("made.inner")
        names = [path.name for path in sources_of(inner)]
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "made"]:
            del sys.modules[name]
    assert names == ["__init__.py", "below.py", "inner.py", "late.py"]


def test_a_module_of_the_project() -> None:
    found = sources_of(geometry)
    assert {Path(geometry.__file__), Path(landmarks.__file__)} <= set(found)
    assert all("facerecon" in path.parts for path in found)
    assert len(found) < 6, "what is not imported decides nothing"


def test_code_and_versions_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code.py"
    code.write_text("1")
    made = [made_by([code], ["numpy"])]
    assert made_by([code], ["numpy"]) == made[0]
    code.write_text("2")
    made.append(made_by([code], ["numpy"]))
    monkeypatch.setattr(cv2, "__version__", "9.9")
    made.append(made_by([code], ["numpy"]))
    monkeypatch.setattr(provenance, "version", lambda package: f"{package} 9.9")
    made.append(made_by([code], ["numpy"]))
    made.append(made_by([code], ["numpy", "av"]))
    assert all(one != other for number, one in enumerate(made) for other in made[:number])
    assert str(tmp_path) not in str(made)
