"""A step's version follows the code that the step can reach, and no other."""

import ast
from pathlib import Path

import pytest

from facerecon.run import parse_settings
from ops import code
from ops.lineage import named_modules

STEPS = ("ingest", "align", "validate", "freeze_cases", "train", "evaluate", "export", "promote", "publish")
BEFORE_CASES = {"ingest", "align", "validate"}
BUILDS = {"train", "evaluate", "export", "promote"}
SETTINGS = parse_settings({"model": {"family": "unet_attention"}}, "test")


def steps_that_reach(file: str) -> set[str]:
    return {step for step in STEPS if file in code.reached_files(f"steps.{step}", *named_modules(SETTINGS, step))}


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("README.md", set()),
        ("cli/main.py", set()),
        ("pipelines/training.py", set()),
        ("requirements.lock", set(STEPS)),
        ("facerecon/files.py", set(STEPS)),
        ("facerecon/corruption/masks.py", set(STEPS) - BEFORE_CASES),
        ("facerecon/data/alignment.py", {"align", "publish"}),
        ("facerecon/data/sources/lfw.py", {"ingest", "align", "publish"}),
        ("facerecon/models/unet_attention/network.py", BUILDS),
        ("facerecon/models/unet_fill/network.py", set()),
        ("facerecon/training/loop.py", {"train"}),
        ("facerecon/tasks/inpainting/losses.py", {"train", "evaluate", "promote"}),
        ("facerecon/tasks/inpainting/report/__init__.py", {"publish"}),
        ("facerecon/tasks/inpainting/report/templates/faces.html", {"publish"}),
        ("facerecon/report/templates/model_card.md.j2", {"publish"}),
        ("facerecon/report/templates/report.html", {"publish"}),
    ],
)
def test_an_edit_concerns_the_steps_that_can_reach_it(file, steps):
    assert steps_that_reach(file) == steps


LOADERS = {"import_module", "iter_modules", "walk_packages", "__import__", "PackageLoader", "FileSystemLoader"}
"""What loads modules or files by name."""


def undeclared(root: Path) -> list[str]:
    """The modules of the project in ``root`` that load by name and declare nothing, or what is not there."""
    found = []
    for path in (path for package in code.PACKAGES for path in (root / package).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        constants = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        if used & LOADERS and not constants & {"LOADED_MODULES", "LOADED_FILES"}:
            found.append(str(path.relative_to(root)))
        modules = {module.replace(".", "/") for module in code._imports().modules}
        for pattern in code.declared(path, "LOADED_MODULES"):
            found += [] if any(Path(name).match(pattern.replace(".", "/")) for name in modules) else [pattern]
        for pattern in code.declared(path, "LOADED_FILES"):
            found += [] if any(path.parent.glob(pattern)) else [pattern]
    return found


def test_what_is_loaded_by_name_is_declared():
    assert undeclared(code.PROJECT) == []


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A project of one package: ``a`` imports ``b`` and a registry and reads templates; a config may name a task."""
    files = {
        "requirements.lock": "x==1\n",
        "tiny/__init__.py": "",
        "tiny/a.py": 'import tiny.b\nfrom tiny import families\nLOADED_FILES = ("page.html", "part.*")\n',
        "tiny/b.py": 'B = "unused.py"\nNOTE = "LOADED_MODULES"\n',
        "tiny/page.html": "",
        "tiny/part.html": "<p>",
        "tiny/other.html": "<p>",
        "tiny/unused.py": "",
        "tiny/families/__init__.py": 'LOADED_MODULES: tuple[str, ...] = (\n    "tiny.families.*",\n)\n',
        "tiny/families/one.py": "",
        "tiny/tasks/__init__.py": "LOADED_MODULES = ()\nimport_module(name)\n",
        "tiny/tasks/toy.py": "def run():\n    from tiny.tasks import parts\n",
        "tiny/tasks/parts.py": "",
        "tiny/tasks/another.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    monkeypatch.setattr(code, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(code, "PACKAGES", ("tiny",))
    code._imports.cache_clear()
    yield tmp_path
    code._imports.cache_clear()


FAMILIES = {"tiny/families/__init__.py", "tiny/families/one.py"}
OWN = {"tiny/__init__.py", "tiny/a.py", "tiny/b.py", "tiny/page.html", "tiny/part.html", "requirements.lock"} | FAMILIES


def test_reached_are_imports_packages_and_what_is_declared(tiny):
    assert set(code.reached_files("tiny.a")) == OWN


def test_what_the_config_names_is_reached_too_with_what_it_imports(tiny):
    task = {"tiny/tasks/__init__.py", "tiny/tasks/toy.py", "tiny/tasks/parts.py"}
    assert set(code.reached_files("tiny.a", "tiny.tasks.toy")) == OWN | task
    before = code.code_digest("tiny.a"), code.code_digest("tiny.a", "tiny.tasks.toy")
    (tiny / "tiny/tasks/parts.py").write_text("# changed\n")
    assert code.code_digest("tiny.a") == before[0]
    assert code.code_digest("tiny.a", "tiny.tasks.toy") != before[1]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from importlib import import_module\nimport_module(name)\n", ["tiny/late.py"]),
        ("import pkgutil\nfor module in pkgutil.iter_modules(__path__):\n    pass\n", ["tiny/late.py"]),
        ('from jinja2 import PackageLoader\nPackageLoader("tiny", ".")\n', ["tiny/late.py"]),
        ('LOADED_MODULES = ("tiny.gone.*",)\n', ["tiny.gone.*"]),
        ('LOADED_FILES = ("gone.html",)\n', ["gone.html"]),
        ('LOADED_FILES = ("page.html",)\nPackageLoader("tiny", ".")\n', []),
    ],
)
def test_a_module_that_loads_by_name_and_does_not_declare_it_is_found(tiny, source, found):
    assert undeclared(tiny) == []
    (tiny / "tiny/late.py").write_text(source)
    assert undeclared(tiny) == found


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tiny/b.py", True),
        ("tiny/page.html", True),
        ("tiny/families/one.py", True),
        ("requirements.lock", True),
        ("tiny/unused.py", False),
        ("tiny/other.html", False),
        ("tiny/tasks/toy.py", False),
    ],
)
def test_the_digest_follows_what_is_reached(tiny, file, changes):
    before = code.code_digest("tiny.a")
    (tiny / file).write_text("# changed\n")
    assert (code.code_digest("tiny.a") != before) == changes


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("tiny/unused.py", True),
        ("tiny/part.html", True),
        ("requirements.lock", True),
        ("tiny/other.html", False),
        ("README.md", False),
    ],
)
def test_the_trees_digest_is_that_of_all_code_and_of_the_packages(tiny, file, counts):
    before = code.tree_digest()
    assert code.tree_digest() == before
    (tiny / file).write_text("# another line\n")
    assert (code.tree_digest() != before) == counts
