"""The model card: right numbers, Markdown that stays what it is, and a snippet that runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facerecon.config.run import RunSettings
from facerecon.evaluation.report import LIMITS, Story
from facerecon.export.model_card import code, escape_markdown, render_model_card
from facerecon.export.onnx import to_onnx
from facerecon.models import build_model
from facerecon.training.checkpoints import TrainedModel

SIZE = 64
OPTIONS = {"features": [8, 16]}
PSNR = {"model": (17.44, 18.62, 17.41), "telea": (18.36, 17.68, 16.83), "mean_fill": (14.04, 13.53, 12.97)}


def table_rows(family: str, levels: tuple[int | None, ...]) -> list[dict[str, Any]]:
    rows = []
    for place, level in enumerate(levels):
        about = {"family": family, "level": level, "hole_ratio": 0.03}
        for method, psnr in PSNR.items():
            figure = {"mean": psnr[place], "std": 2.1, "n": 12, "infinite": 0}
            figures = {key: figure | {"mean": psnr[place] / 50} for key in ("ssim", "lpips", "identity")}
            rows.append({"method": method, **about, **figures, "whole_psnr": figure, "hole_psnr": dict(figure)})
        floor = {"mean": 0.1234, "std": 0.01, "n": 12, "infinite": 0}
        rows.append({"method": "masked_input", **about, "identity": floor})
    return rows


def make_story(**changes: Any) -> Story:
    data = {"source": "folder", "path": "data/sample", "licence": "CC0"}
    families = (("brush", (1, 2, 3)), ("held_out", (1, 2, 3)), ("features/left_eye", (None,)))
    parts: dict[str, Any] = {
        "name": "tiny",
        "settings": RunSettings(name="tiny", data=data, model={"options": OPTIONS}).model_dump(mode="json"),
        "figures": {
            "split": {"name": "test", "faces": 12, "identities": 5},
            "judges": {
                "lpips": {"network": "lpips_vgg", "in_loss": False},
                "identity": {"network": "sface", "in_loss": True},
            },
            "model": {"family": "unet_attention", "size": SIZE, "step": 400, "weights": "8f" * 32},
            "data": "3a" * 32,
            "masks": "c4" * 32,
            "table": [row for family, levels in families for row in table_rows(family, levels)],
        },
        "samples": {},
        "history": [],
        "counts": {"train": 1234, "val": 11, "gate": 13, "test": 12, "identities": 77, "quarantined": 3},
        "quarantine": {"no face found": 3},
        "export": {
            "bytes": 7_823_411,
            "faces": 8,
            "threads": 2,
            "parity_psnr": {"reconstruction": 131.24, "confidence": None},
            "latency": {"onnxruntime_ms": {"median": 6.31, "p95": 7.9}, "pytorch_ms": {"median": 11.82, "p95": 14.2}},
        },
        "decision": {
            "champion": True,
            "version": 4,
            "reason": "0.31 dB better",
            "challenger": {"level_1": 20.01},
            "champion_before": None,
            "champion_version": None,
        },
        "provenance": {"git commit": "b7e1" * 10, "seed": "0"},
        "weights": [
            {"name": name, "licence": f"licence of {name}", "package": "p==1", "sha256": "5c" * 32, "path": "/home/x/f"}
            for name in ("face_landmarker", "lpips_alex", "lpips_vgg", "sface")
        ],
    }
    return Story(**(parts | changes))


def cells(card: str) -> list[list[str]]:
    """The cells of every table's row."""
    lines = [line for line in card.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_figures_of_every_family() -> None:
    card = render_model_card(make_story())
    rows = cells(card)
    level = "level 1 (10-30 % hidden)"
    same = ["0.349 ± 2.100"] * 3
    assert [level, "model", "12", "17.44 ± 2.10", "17.44 ± 2.10", same[0], "0.349 ± 2.100", same[0]] in rows
    assert [level, "Telea", "12", "**18.36 ± 2.10**", "**18.36 ± 2.10**"] in [row[:5] for row in rows]
    assert [level, "mean fill", "12", "14.04 ± 2.10", "14.04 ± 2.10", "0.281 ± 2.100", "**0.281 ± 2.100**"] in [
        row[:7] for row in rows
    ]
    assert ["3 %", "model", "12"] in [row[:3] for row in rows]
    assert [level, "hidden input", "12", "–", "–", "–", "–", "0.123 ± 0.010"] in rows
    headings = [line for line in card.splitlines() if line.startswith("### ")]
    assert headings == ["### brush masks", "### held out masks (never trained on)", "### left eye (part of the face)"]
    assert len([row for row in rows if row[1] in ("model", "Telea", "mean fill", "hidden input")]) == 7 * 4


def test_it_says_that_the_model_is_worse() -> None:
    card = render_model_card(make_story())
    assert "worse than Telea inpainting at level 1 and better at levels 2 and 3." in card
    assert "- level 1 (10-30 % hidden): 17.4 dB in the holes, 0.9 dB worse than Telea" in card
    assert "- LPIPS is worse than that of Telea at levels 2 and 3, and that of mean fill at levels 1, 2 and 3" in card


def test_it_names_use_limits_data_judges_licences_and_digests() -> None:
    card = render_model_card(make_story())
    for heading in ("Intended use", "Misuse", "How to use it", "Training data", "Figures", "Limits", "Provenance"):
        assert f"## {heading}\n" in card
    assert "**As evidence.**" in card
    assert all(f"- {limit}" in card for limit in LIMITS)
    assert "licence: **CC0**" in card
    rows = cells(card)
    assert ["1234", "11", "13", "12", "77", "3"] in rows
    assert ["sface", "identity loss, judge of identity", "licence of sface", "p==1", f"`{'5c' * 32}`"] in rows
    assert ["weights", f"`{'8f' * 32}`"] in rows
    assert ["git commit", f"`{'b7e1' * 10}`"] in rows
    assert "- identity: sface, also in the loss" in card
    assert "- LPIPS: lpips_vgg, not in the loss" in card
    assert "131 dB (reconstruction), ∞ dB (confidence)" in card
    assert "6.3 ms in ONNX Runtime" in card
    assert "/home/x" not in card


def test_infinite_is_infinite() -> None:
    story = make_story()
    for row in story.figures["table"]:
        if row["method"] == "model" and row["family"] == "features/left_eye":
            row["hole_psnr"] = {"mean": None, "std": None, "n": 12, "infinite": 12}
            row["whole_psnr"] = {"mean": 30.0, "std": 1.0, "n": 12, "infinite": 2}
    card = render_model_card(story)
    assert ["3 %", "model", "12", "**30.00 ± 1.00 (2 × ∞)**", "**∞**"] in [row[:5] for row in cells(card)]
    assert not any("None" in cell for row in cells(card) for cell in row)


def test_every_table_is_a_table() -> None:
    """A row with another number of cells than its header is dropped or cut by Markdown."""
    evil = "a|b\n| c | `d` <script>alert(1)</script> *e* [f](g)"
    story = make_story(provenance={evil: evil}, quarantine={evil: 3}, name=evil)
    story.settings["data"]["licence"] = evil
    card = render_model_card(story)
    for lines in re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE):
        widths = {len(row) for row in cells(lines)}
        assert len(widths) == 1, lines
        assert re.match(r"\|.*\n\|[-:|]+\|\n", lines)
    outside_code = re.sub(r"`[^`\n]*`", "", card.replace("\\`", ""))
    assert "<script" not in outside_code
    assert "&lt;script&gt;" in card
    assert "[f]" not in outside_code
    assert "# a\\|b \\| c \\| \\`d\\`" in card


def test_escaping() -> None:
    assert escape_markdown("a_b _c_ *d* <e> & `f` [g] |h| ~i~\nj") == (
        "a_b \\_c\\_ \\*d\\* &lt;e&gt; &amp; \\`f\\` \\[g\\] \\|h\\| \\~i\\~ j"
    )
    assert code("a`b|c\nd") == "a'b\\|c d"


def test_same_story_same_bytes() -> None:
    assert render_model_card(make_story()) == render_model_card(make_story())
    assert not re.search(r"\n{3}|[ \t]\n", render_model_card(make_story()))


@pytest.mark.slow
def test_the_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_model("unet_attention", OPTIONS).state_dict()
    trained = TrainedModel("unet_attention", OPTIONS, SIZE, 1, weights)
    (tmp_path / "model.onnx").write_bytes(to_onnx(trained, {}))
    face = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    hole = np.zeros((SIZE, SIZE), bool)
    hole[20:40, 10:50] = True
    Image.fromarray(face).save(tmp_path / "face.png")
    Image.fromarray(hole.astype(np.uint8) * np.uint8(255)).save(tmp_path / "mask.png")
    (snippet,) = re.findall(r"```python\n(.*?)```", render_model_card(make_story()), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "model_card.md", "exec"), {})
    made = np.asarray(Image.open(tmp_path / "reconstruction.png"))
    assert made.shape == face.shape
    assert np.array_equal(made[~hole], face[~hole])
    assert not np.array_equal(made[hole], face[hole])
    confidence = np.asarray(Image.open(tmp_path / "confidence.png"))
    assert (confidence[~hole] == 255).all()
    assert (confidence[hole] < 255).all()
