"""The model card: right numbers, Markdown that stays what it is, and a snippet that runs."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facerecon.evaluation.comparison import Comparison
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import Check, Decision
from facerecon.export.onnx import to_onnx
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.report import Story, lighting
from facerecon.report.model_card import code, escape_markdown, render_model_card
from facerecon.report.story import LIMITS, RetrainingStory
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.report import ATTENTION_LIMIT, CONFIDENCE_LIMIT, PRIOR_LIMIT

MakeStory = Callable[..., Story]
SIZE = 64
OPTIONS = {"features": [8, 16]}


@pytest.fixture(scope="module")
def card(make_story: MakeStory) -> str:
    return render_model_card(make_story())


def cells(card: str) -> list[list[str]]:
    """The cells of every table's row."""
    lines = [line for line in card.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_figures_of_every_family(card: str) -> None:
    rows = cells(card)
    level = "level 1 (10-30 % hidden)"
    same = ["0.349 ± 2.100"] * 3
    assert [level, "model", "12", "22.44 ± 2.10", "17.44 ± 2.10", same[0], "0.349 ± 2.100", same[0]] in rows
    assert [level, "Telea", "12", "**23.36 ± 2.10**", "**18.36 ± 2.10**"] in [row[:5] for row in rows]
    assert [level, "mean fill", "12", "19.04 ± 2.10", "14.04 ± 2.10", "0.281 ± 2.100", "**0.281 ± 2.100**"] in [
        row[:7] for row in rows
    ]
    assert ["left eye, 20.1 % of the picture on average", "model", "12"] in [row[:3] for row in rows]
    assert [level, "hidden input", "12", "–", "–", "–", "–", "0.123 ± 2.100"] in rows
    headings = [line for line in card.splitlines() if line.startswith("### ")]
    assert headings == [
        "### brush masks",
        "### boxes masks (never trained on)",
        "### held out masks (never trained on)",
        "### Parts of the face, each hidden alone",
        "### Confidence",
        "### Lighting",
    ]
    assert len([row for row in rows if row[1] in ("model", "Telea", "mean fill", "hidden input")]) == 10 * 4


def test_it_says_what_was_fitted_to_the_faces_and_not_trained(card: str, bare_story: Story) -> None:
    assert "of 31,337 parameters" in card
    assert "up to 4,242 numbers are computed from the training faces in closed form" in card
    assert "closed form" not in render_model_card(bare_story)


def test_it_says_that_the_model_is_worse(card: str) -> None:
    assert "worse than Telea at level 1 and better at levels 2 and 3." in card
    assert "- level 1 (10-30 % hidden): hole PSNR 17.4 dB, 0.9 dB worse than Telea" in card
    assert "- LPIPS is worse than that of Telea at levels 2 and 3, and that of mean fill at levels 1, 2 and 3" in card


def test_it_names_use_limits_data_judges_licences_and_digests(card: str) -> None:
    for heading in ("Intended use", "Misuse", "How to use it", "Training data", "Figures", "Limits", "Provenance"):
        assert f"## {heading}\n" in card
    assert "**As evidence.**" in card
    assert all(f"- {limit}" in card for limit in (*LIMITS, CONFIDENCE_LIMIT, PRIOR_LIMIT, ATTENTION_LIMIT))
    assert "licence: **CC0**" in card
    rows = cells(card)
    assert ["1234", "11", "13", "12", "77", "5"] in rows
    assert ["sface", "identity loss, judge of identity", "licence of sface", "p==1", "`5c`"] in rows
    assert ["weights", f"`{'8f' * 32}`"] in rows
    assert ["git commit", f"`{'b7e1' * 10}`"] in rows
    assert "- identity: sface, also in the loss" in card
    assert "- LPIPS: lpips_vgg, not in the loss" in card
    assert "131 dB (reconstruction), ∞ dB (confidence)" in card
    assert "6.3 ms in ONNX Runtime" in card
    assert "/home/x" not in card


def test_infinite_is_infinite(
    make_story: MakeStory, make_evaluation: Callable[..., Evaluation], spread: Callable[..., list[float]]
) -> None:
    about = ("features/left_eye", -1)
    exact = {
        ("model", "hole_psnr", *about): spread(None),
        ("model", "whole_psnr", *about): spread(30.0, 1.0, infinite=2),
    }
    card = render_model_card(make_story(evaluation=make_evaluation(exact)))
    shown = ["model", "12", "**30.00 ± 1.00 (2 × ∞)**", "**∞**"]
    assert shown in [row[1:5] for row in cells(card)]
    assert not any("None" in cell for row in cells(card) for cell in row)


def test_licences_of_single_photographs_are_listed_where_there_are_any(make_story: MakeStory) -> None:
    named = {"Attribution-NonCommercial License": 7, "Public Domain Mark": 2}
    card = render_model_card(make_story(licences=named))
    assert card.index("- 7: Attribution-NonCommercial License") < card.index("- 2: Public Domain Mark")
    assert "Licences of single" not in render_model_card(make_story())


def test_every_table_is_a_table(
    make_story: MakeStory,
    make_evaluation: Callable[..., Evaluation],
    make_decision: Callable[..., Decision],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row with another number of cells than its header is dropped or cut by Markdown."""
    evil = "a|b\n| c | `d` <script>alert(1)</script> *e* [f](g)"
    monkeypatch.setattr(lighting, "LIGHTING", ((evil, 0, 85),))
    evaluation = make_evaluation()
    lit = evaluation.scores.subset(f"test_{evil}", {"face 1"})
    evaluation = replace(evaluation, scores=evaluation.scores | lit)
    checks = (*make_decision().checks, Check(name=evil, passed=False, said=evil))
    counted = {"quarantine": {evil: 3}, "licences": {evil: 3}, "provenance": {evil: evil}}
    texts = {"name": evil, "licence": evil, "sources": evil}
    story = make_story(evaluation=evaluation, decision=make_decision(checks=checks), **counted, **texts)
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


def test_confidence_beside_what_is_so(card: str) -> None:
    rows = cells(card)
    level = ["level 1 (10-30 % hidden)", "12", "123,456", "0.621", "0.605", "0.214", "0.239", "0.351", "0.042"]
    assert rows.count(level) == 2
    worthless = [
        "level 3 (50-70 % hidden)",
        "12",
        "123,456",
        "0.621",
        "0.605",
        "0.250 (no better)",
        "0.239",
        "–",
        "0.042",
    ]
    assert worthless in rows
    assert ["left eye", *level[1:]] in rows
    told = card.partition("### Confidence")[2].partition("### Lighting")[0]
    assert re.findall(r"^(.*):\n\n\|", told, flags=re.MULTILINE) == [
        "brush masks",
        "held out masks",
        "Parts of the face, each hidden alone",
    ]
    assert "- confidence is no better than one constant guess (Brier score) at level 3" in card


def test_lighting(card: str) -> None:
    rows = cells(card)
    level = "level 2 (30-50 % hidden)"
    assert [level, "dark", "0-85", "5", "19.62 ± 2.10", "18.68 ± 2.10", "+0.94"] in rows
    assert [level, "bright", "170-255", "5", "18.62 ± 2.10", "17.68 ± 2.10", "+0.94"] in rows


def test_a_refusal_is_told_at_the_top_with_its_checks(card: str) -> None:
    top, _, rest = card.partition("## Intended use")
    assert "Version 4 stays a challenger; it had to beat version 3.\n" in top
    assert "- **Failed:** gain: -0.310 dB of hole PSNR against version 3, 0.05 needed\n" in top
    assert "- hole PSNR of brush masks is worse than that of version 3 at level 1\n" in top
    rows = cells(rest)
    assert ["gain", "**failed**", "-0.310 dB of hole PSNR against version 3, 0.05 needed"] in rows
    assert ["LPIPS no worse", "passed", "LPIPS -0.0200; no more than 0.01 higher is allowed"] in rows
    assert [
        *("brush masks, level 1", "hole PSNR, dB ↑", "19.99", "20.30", "−0.310", "−0.510 to −0.110", "**worse**")
    ] in rows
    assert ["brush masks, mean over levels", "hole PSNR, dB ↑"] in [row[:2] for row in rows]


def test_a_missing_part_leaves_nothing_behind(card: str, bare_story: Story) -> None:
    bare = render_model_card(bare_story)
    for word in (
        "### Confidence",
        "### Lighting",
        "the rule asks",
        "champion before",
        "interval",
    ):
        assert word in card
        assert word not in bare
    assert "1 everywhere: this model does not say how sure it is" in bare
    assert "Version 4 is champion: it is the first." in bare
    assert ["brush masks, level 1", "hole PSNR, dB ↑", "19.99"] in cells(bare)
    assert not re.search(r"\n{3}|[ \t]\n", bare)


def test_escaping() -> None:
    assert escape_markdown("a_b _c_ *d* <e> & `f` [g] |h| ~i~\nj") == (
        "a_b \\_c\\_ \\*d\\* &lt;e&gt; &amp; \\`f\\` \\[g\\] \\|h\\| \\~i\\~ j"
    )
    assert code("a`b|c\nd") == "a'b\\|c d"


def test_same_story_same_bytes(make_story: MakeStory) -> None:
    assert render_model_card(make_story()) == render_model_card(make_story())
    assert not re.search(r"\n{3}|[ \t]\n", render_model_card(make_story()))


@pytest.mark.slow
def test_the_snippet_runs(card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_model("unet_attention", OPTIONS).state_dict()
    trained = TrainedModel("unet_attention", OPTIONS, SIZE, 1, weights)
    task = get_task("inpainting")
    content = to_onnx(task.contract(trained), task.signature, task.signature.zeros(N=2, H=SIZE, W=SIZE), {})
    (tmp_path / "model.onnx").write_bytes(content)
    face = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    hole = np.zeros((SIZE, SIZE), bool)
    hole[20:40, 10:50] = True
    Image.fromarray(face).save(tmp_path / "face.png")
    Image.fromarray(hole.astype(np.uint8) * np.uint8(255)).save(tmp_path / "mask.png")
    (snippet,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "model_card.md", "exec"), {})
    made = np.asarray(Image.open(tmp_path / "reconstruction.png"))
    assert made.shape == face.shape
    assert np.array_equal(made[~hole], face[~hole])
    assert not np.array_equal(made[hole], face[hole])
    confidence = np.asarray(Image.open(tmp_path / "confidence.png"))
    assert (confidence[~hole] == 255).all()
    assert (confidence[hole] < 255).all()


def test_a_retraining_in_brief(make_story: MakeStory) -> None:
    told = RetrainingStory(
        decision="retrain: 25 new people in train",
        facts=[("parent", "tiny/3")],
        clips=[("a.mp4", "taken in")],
        people={},
        drift=[],
        commands=[("makes it champion, as proposed", "facerecon promote tiny/4 --reason ...")],
    )
    anchor = Comparison(method="anchor", other="tiny/1", face_set="test_new", obstacle="nobody is left")
    card = render_model_card(replace(make_story(), retraining=told, comparisons=(anchor,)))
    for line in (
        "retrain: 25 new people in train.",
        "- parent: tiny/3",
        "- clips: 1",
        "- test_new, beside the anchor, tiny/1: nobody is left",
        "- what makes it champion, as proposed: `facerecon promote tiny/4 --reason ...`",
    ):
        assert line in card.splitlines()
    assert "## Retraining" not in render_model_card(make_story())
