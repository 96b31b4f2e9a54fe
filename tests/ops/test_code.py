"""A step's version follows the code that the step can reach, and no other."""

import pytest

from ops import code

STEPS = ("ingest", "align", "validate", "make_masks", "train", "evaluate", "export", "promote", "publish")
BEFORE_MASKS = {"ingest", "align", "validate"}


def steps_that_reach(file: str) -> set[str]:
    return {step for step in STEPS if file in code.reached_files(f"steps.{step}")}


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("README.md", set()),
        ("cli/main.py", set()),
        ("pipelines/training.py", set()),
        ("requirements.lock", set(STEPS)),
        ("facerecon/files.py", set(STEPS)),
        ("facerecon/corruption/masks.py", set(STEPS) - BEFORE_MASKS),
        ("facerecon/data/alignment.py", {"align"}),
        ("facerecon/data/sources/lfw.py", {"ingest", "align", "publish"}),
        ("facerecon/models/unet_attention/network.py", {"train", "evaluate", "export", "promote", "publish"}),
        ("facerecon/training/loop.py", {"train"}),
        ("facerecon/report/model_card.md.j2", {"publish"}),
        ("facerecon/report/report.html", {"publish"}),
    ],
)
def test_an_edit_concerns_the_steps_that_can_reach_it(file, steps):
    assert steps_that_reach(file) == steps


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A project of one package: ``a`` imports ``b``, a template and a registry, of which nobody names the members."""
    files = {
        "requirements.lock": "x==1\n",
        "tiny/__init__.py": "",
        "tiny/a.py": 'import tiny.b\nfrom tiny import families\nTEMPLATE = "page.html"\n',
        "tiny/b.py": "B = 1\n",
        "tiny/page.html": '{% include "part.html" %}',
        "tiny/part.html": "<p>",
        "tiny/other.html": "<p>",
        "tiny/unused.py": "",
        "tiny/families/__init__.py": "for module in iter_modules(__path__):\n    import_module(module.name)\n",
        "tiny/families/one.py": "",
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


def test_reached_are_imports_packages_registries_and_templates(tiny):
    families = {"tiny/families/__init__.py", "tiny/families/one.py"}
    own = {"tiny/__init__.py", "tiny/a.py", "tiny/b.py", "tiny/page.html", "tiny/part.html", "requirements.lock"}
    assert set(code.reached_files("tiny.a")) == own | families


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tiny/b.py", True),
        ("tiny/page.html", True),
        ("tiny/families/one.py", True),
        ("requirements.lock", True),
        ("tiny/unused.py", False),
        ("tiny/other.html", False),
    ],
)
def test_the_digest_follows_what_is_reached(tiny, file, changes):
    before = code.code_digest("tiny.a")
    (tiny / file).write_text("# changed\n")
    assert (code.code_digest("tiny.a") != before) == changes
