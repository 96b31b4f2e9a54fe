"""The report: right numbers, nothing unescaped, nothing from outside, no empty part, the same bytes every time."""

import copy
import dataclasses
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerecon.evaluation.comparison import Compared, Comparison
from facerecon.evaluation.evaluation import Evaluation, FaceSet
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.promotion import Check, Decision
from facerecon.evaluation.scores import Scores
from facerecon.report import Story, lighting, render, render_report
from facerecon.report.base import TaskReport
from facerecon.report.story import LIMITS, RetrainingStory
from facerecon.tasks import get_task

MakeStory = Callable[..., Story]
VOID = {"meta", "img", "br", "line", "path"}


class Page(HTMLParser):
    """Fails on a tag that is not closed; collects attributes and the cells of every table."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.bold: list[str] = []
        self.text: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((int(self.open[-1][1]), " ".join(data.split())))
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "strong" and "td" in self.open:
            self.bold.append(data)

    @property
    def said(self) -> str:
        return " ".join("".join(self.text).split())

    def table_rows(self) -> list[list[str]]:
        """The texts of the cells of every row."""
        return [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def alts(self) -> list[str]:
        """What the pictures show, in their order."""
        return [str(attributes["alt"]) for tag, attributes in self.tags if tag == "img"]

    def classed(self, tag: str, name: str) -> int:
        """How many elements ``tag`` have the class ``name``."""
        return sum(found == tag and name in str(attributes.get("class")).split() for found, attributes in self.tags)


@pytest.fixture(scope="module")
def page(make_story: MakeStory) -> Page:
    return Page(render_report(make_story()))


@pytest.fixture(scope="module")
def bare_page(bare_story: Story) -> Page:
    return Page(render_report(bare_story))


def test_tables_hold_the_figures(page: Page) -> None:
    rows = page.table_rows()
    assert ["model", "12", "22.44 ± 2.10", "17.44 ± 2.10", "0.349 ± 2.100", "0.349 ± 2.100", "0.349 ± 2.100"] in rows
    assert ["Telea", "12", "23.36 ± 2.10", "18.36 ± 2.10", "0.367 ± 2.100", "0.367 ± 2.100", "0.367 ± 2.100"] in rows
    assert ["model", "12", "23.62 ± 2.10", "18.62 ± 2.10", *["0.372 ± 2.100"] * 3] in rows
    assert ["hidden input", "12", "–", "–", "–", "–", "0.123 ± 2.100"] in rows
    groups = [row[0] for row in rows if len(row) == 1 and "of the picture on average" in row[0]]
    assert groups == [
        f"level {k} ({low}-{low + 20} % hidden) 20.1 % of the picture on average"
        for _ in ("brush", "boxes", "held out")
        for k, low in ((1, 10), (2, 30), (3, 50))
    ] + ["left eye 20.1 % of the picture on average"]


def test_the_best_alone_is_bold(page: Page) -> None:
    # hole PSNR at levels 1, 2, 3: Telea, the model, the model; LPIPS always the lowest, which is mean fill
    assert {"18.36", "18.62", "17.41"} <= set(page.bold)
    assert not {"17.44", "17.68", "16.83", "14.04"} & set(page.bold)
    assert page.bold.count("0.281") == 4


def test_a_worse_model_is_said_to_be_worse(page: Page) -> None:
    assert page.headings[0] == (
        1,
        "By hole PSNR, the model is worse than Telea at level 1 and better at levels 2 and 3.",
    )
    assert "hole PSNR 17.4 dB, 0.9 dB worse than Telea, 3.4 dB better than mean fill" in page.said
    assert "−0.9 dB" in page.said
    assert "+0.9 dB" in page.said
    assert (
        "LPIPS is worse than that of Telea at levels 2 and 3, and that of mean fill at levels 1, 2 and 3" in page.said
    )


def test_infinite_is_infinite(
    make_story: MakeStory, make_evaluation: Callable[..., Evaluation], spread: Callable[..., list[float]]
) -> None:
    about = ("features/left_eye", -1)
    exact = {("model", "hole_psnr", *about): spread(None), ("model", "whole_psnr", *about): spread(30.0, infinite=2)}
    html = render_report(make_story(evaluation=make_evaluation(exact)))
    assert ["model", "12", "30.00 ± 2.10 + 2 × ∞", "∞"] in [row[:4] for row in Page(html).table_rows()]
    assert "None" not in html


def test_export_data_and_licences(page: Page) -> None:
    said = page.said
    assert "131 dB" in said
    assert "∞ dB" in said
    assert "6.3 ms" in said
    assert "11.8 ms" in said
    assert "each used 2 threads" in said
    assert "7.8 MB" in said
    rows = page.table_rows()
    assert ["no face found", "3"] in rows
    assert "1,234 faces" in said
    assert ["seed", "0"] in rows
    assert ["sface", "identity loss, judge of identity", "licence of sface", "p==1", "5c"] in rows
    assert "identity: sface, also in the loss" in said
    assert "LPIPS: lpips_vgg, not in the loss" in said
    assert "not evidence of who a person is" in said


def test_what_was_trained_on_what(page: Page) -> None:
    rows = page.table_rows()
    assert ["faces", "1,234 from folder"] in rows
    assert ["masks", "brush, noise; 10 % hide a part of the face"] in rows
    assert ["loss", "l1 × 1, perceptual × 0.8, identity × 0.1, confidence × 0.1, hole × 6"] in rows
    assert ["length", "600 steps of 16 faces; kept: step 400, the best on the validation faces"] in rows


def test_a_refusal_stands_at_the_top_and_in_red(page: Page) -> None:
    top = page.said.partition("A reconstruction is a plausible guess")[0]
    assert "Version 4 stays a challenger; it had to beat version 3." in top
    assert "failed: gain: -0.310 dB of hole PSNR against version 3, 0.05 needed" in top
    assert "hole PSNR of brush masks is worse than that of version 3 at level 1" in top
    assert page.classed("b", "bad") == 1
    assert page.classed("div", "warn") == 3  # the third is of the data
    assert page.classed("li", "failed") == 1
    assert page.classed("li", "passed") == 1
    assert "✗ failed gain -0.310 dB of hole PSNR" in page.said
    assert "✓ passed LPIPS no worse LPIPS -0.0200" in page.said


def test_champion_beside_challenger(page: Page) -> None:
    rows = page.table_rows()
    assert ["level 1", "19.99", "20.30", "−0.310", "−0.510 to −0.110", "worse"] in rows
    assert ["level 2", "0.380", "0.400", "−0.0200", "−0.5200 to +0.4800", "not certain"] in rows
    assert ["mean over levels", "18.99", "19.30", "−0.310", "−0.810 to +0.190", "not certain"] in rows
    assert "The interval (95 %) of the difference" in page.said
    assert "identity by dlib" in page.said
    alts = page.alts()
    assert [alt.partition(",")[0] for alt in alts if alt.startswith("Gate face 2")] == [
        "Gate face 2",
        "Gate face 2 with 40 % hidden",
        "Gate face 2 by this model",
        "Gate face 2 by version 3",
    ]
    assert "Gate face 1 by version 3, ∞ dB in the holes" in alts


def test_a_winner_is_not_called_a_failure(make_story: MakeStory, make_decision: Callable[..., Decision]) -> None:
    decision = make_decision(champion=True, reason="+0.3 dB", checks=(), differences=())
    page = Page(render_report(make_story(decision=decision)))
    top = page.said.partition("A reconstruction is a plausible guess")[0]
    assert "Version 4 is champion; it had to beat version 3: +0.3 dB. " in top
    assert page.classed("b", "bad") == 0
    assert page.classed("div", "warn") == 2  # the second is of the data


def test_confidence_beside_what_is_so(page: Page) -> None:
    rows = page.table_rows()
    assert ["level 1 10-30 % hidden", "12", "123,456", "0.621", "0.605", "0.214", "0.239", "0.351", "0.042"] in rows
    assert ["level 3 50-70 % hidden", "12", "123,456", "0.621", "0.605", "0.250", "0.239", "–", "0.042"] in rows
    assert ["left eye", "12", "123,456", "0.621", "0.605", "0.214", "0.239", "0.351", "0.042"] in rows
    assert [row[0] for row in rows if len(row) == 1 and row[0].endswith("never trained on")] == [
        "held out masks never trained on"
    ]
    assert "confidence is no better than one constant guess (Brier score) at level 3" in page.said
    # that Brier score; and at the gate level 1 of brush and held out
    assert page.classed("td", "worse") == 3
    charts = [str(at["aria-label"]) for tag, at in page.tags if tag == "svg"]
    assert [label for label in charts if label.startswith("Reliability")] == [
        f"Reliability at level {k} ({low}-{low + 20} % hidden): says 0.621, right on 0.605 of the hidden pixels"
        for k, low in ((1, 10), (2, 30), (3, 50))
    ]


def test_lighting(page: Page) -> None:
    rows = page.table_rows()
    dark, bright = (rows.index(row) for row in rows if row[0] in ("dark", "bright"))
    assert rows[dark] == ["dark", "0-85", "5", "19.62 ± 2.10", "18.68 ± 2.10", "+0.94"]
    assert rows[bright] == ["bright", "170-255", "5", "18.62 ± 2.10", "17.68 ± 2.10", "+0.94"]
    assert dark < bright


def test_worst_cases_are_labelled_and_after_the_typical_ones(page: Page) -> None:
    titles = [text for level, text in page.headings if level in (3, 4)]
    typical, worst = titles.index("Typical faces"), titles.index("Worst cases")
    assert titles[typical + 1 : worst] == [
        f"Face {k}, level {k} ({low}-{low + 20} % hidden)" for k, low in ((1, 10), (2, 30), (3, 50))
    ]
    assert titles[worst + 1] == "Worst 1, level 1 (10-30 % hidden)"
    assert "3 faces, chosen by hash, not picked." in page.said
    assert "the lowest hole PSNR over all 12 test faces" in page.said
    assert "Worst cases not typical" in page.said
    assert page.classed("article", "worst") == 1


def test_a_missing_part_leaves_nothing_behind(page: Page, bare_page: Page) -> None:
    told = ("confidence", "attention:", "Lighting", "Worst", "champion before", "Gate face", "What the rule asks")
    for word in told:
        assert word in page.said
        # the network's loss and its outputs are named as they are
        assert word not in re.sub("confidence × 0.1|parity, confidence|All settings of.*", "", bare_page.said)
    ids = {attributes.get("id") for _, attributes in bare_page.tags}
    assert "confidence" not in ids
    assert "promotion" in ids
    assert "Version 4 is champion: it is the first. " in bare_page.said
    assert ["brush masks: hole PSNR, dB ↑", "19.99", "18.99", "17.99"] in bare_page.table_rows()
    assert bare_page.classed("div", "attention") == 0
    assert bare_page.classed("article", "pair") == 0
    # no list, grid, table or paragraph without content
    assert not re.search(
        r"<(ul|div|tbody|table|p|section|h\d)\b[^>]*>\s*</\1>", re.sub('<div class="bar".*?></div>', "", bare_page.html)
    )


def test_never_trained_on_follows_the_settings(page: Page) -> None:
    assert "held out masks never trained on" in page.said
    assert "brush masks never" not in page.said


def test_parameters_and_what_was_fitted_are_told(page: Page, bare_page: Page) -> None:
    assert "31,337 parameters" in page.said
    assert "up to 4,242 numbers computed from them, not trained" in page.said
    assert "not trained" not in bare_page.said


def test_sections_are_linked_in_the_pages_order(page: Page, bare_page: Page) -> None:
    for shown, missing in ((page, set()), (bare_page, {"confidence"})):
        links = [str(attributes["href"])[1:] for tag, attributes in shown.tags if tag == "a" if "href" in attributes]
        sections = [attributes.get("id") for tag, attributes in shown.tags if tag == "section"]
        assert [link for link in links if link in sections][-len(sections) :] == sections
        own = {"faces", "confidence", "masks"} - missing
        assert own <= set(sections)


def test_what_was_expected_of_the_data_and_not_met_is_told(page: Page, bare_page: Page) -> None:
    assert "2 of 3 expectations of the data were met, but not these:" in page.said
    few = "splits: expect_column_values_to_be_between(identities): 1 of 4 values such as 5; first rows: val<b>"
    assert few in page.said
    assert "data_docs/index.html" in {attributes.get("href") for _, attributes in page.tags}
    assert "expectations of the data" not in bare_page.said


def test_nothing_comes_from_outside(page: Page) -> None:
    allowed = {"href": r"#|data_docs/index\.html$", "src": r"data:image/(png|webp);base64,"}
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in allowed:
                assert re.match(allowed[name], str(value))
            assert name not in ("srcset", "action", "xlink:href")
    (policy,) = [at["content"] for tag, at in page.tags if at.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"https?:|url\(|@import", page.html)
    assert "/home/x" not in page.html


@pytest.mark.parametrize("which", ["page", "bare_page"])
def test_the_page_can_be_read_aloud(which: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(which)
    alts = page.alts()
    assert all(alts)
    assert len(set(alts)) == len(alts)
    # faces: six pictures, three parts twice, two maps; two gate faces by two models; three mask families
    assert len(alts) == (4 * 14 + 2 * 4 + 9 if which == "page" else 3 * 11 + 9)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert all(attributes["aria-label"] for tag, attributes in page.tags if tag == "svg")
    links = {str(attributes["href"]) for tag, attributes in page.tags if tag == "a"}
    targets = {link[1:] for link in links if link.startswith("#")}
    assert targets <= {attributes.get("id") for _, attributes in page.tags}
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


EVIL = '<script>alert("x")</script>&<img src=x onerror=y>'


def test_everything_is_escaped(
    make_story: MakeStory,
    make_evaluation: Callable[..., Evaluation],
    make_decision: Callable[..., Decision],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lighting, "LIGHTING", ((EVIL, 0, 85),))
    evaluation = make_evaluation(attention=(EVIL, "1/1"))
    lit = evaluation.scores.subset(f"test_{EVIL}", {"face 1"})
    judges = tuple(judge.model_copy(update={"network": EVIL, "note": EVIL}) for judge in evaluation.judges)
    evaluation = dataclasses.replace(evaluation, judges=judges, scores=evaluation.scores | lit)
    decision = make_decision(reason=EVIL, checks=(Check(name=EVIL, passed=False, said=EVIL),))
    texts = {"name": EVIL, "sources": EVIL, "licence": EVIL, "uses": {EVIL: [EVIL]}}
    counted = {"quarantine": {EVIL: 2}, "licences": {EVIL: 2}, "provenance": {EVIL: EVIL}}
    story = make_story(evaluation=evaluation, decision=decision, **texts, **counted)
    html = render_report(story)
    page = Page(html)
    assert "<script" not in html
    assert not any(tag == "script" or "onerror" in attributes for tag, attributes in page.tags)
    assert page.said.count(EVIL) >= 20
    assert any(EVIL in alt for alt in page.alts())


def test_same_story_same_bytes(make_story: MakeStory) -> None:
    assert render_report(make_story()) == render_report(make_story())
    assert render_report(make_story()) != render_report(make_story(provenance={"seed": "1"}))


def test_large_faces_are_shown_smaller_and_the_page_stays_small(
    make_story: MakeStory,
    make_evaluation: Callable[..., Evaluation],
    make_samples: Callable[..., Any],
    make_comparison: Callable[..., Any],
) -> None:
    samples, comparison = make_samples(9, 3, 256), make_comparison(4, 256)
    noise = np.random.default_rng(1).integers(-60, 61, samples["original"].shape)
    for arrays, names in (
        (samples, ("original", "reconstructed", "telea")),
        (comparison, ("original", "challenger", "champion")),
    ):
        for name in names:
            image = arrays[name]
            arrays[name] = (image + noise[: len(image)]).clip(0, 255).astype(np.uint8)
    evaluation = make_evaluation(samples=samples)
    model = evaluation.model.model_copy(update={"size": 256})
    story = make_story(evaluation=dataclasses.replace(evaluation, model=model), comparison=comparison)
    html = render_report(story)
    assert len(html.encode()) < 3_000_000
    shown = re.search(r"Shown at (\d+) px, reduced from 256 px", html)
    assert shown
    assert 64 <= int(shown[1]) < 256
    assert "stored with slight loss" in html


def test_what_an_epoch_takes_follows_from_the_speed_that_was_measured(make_story: MakeStory) -> None:
    def said(*speeds: float) -> str:
        history = [{"step": step, "images_per_second": speed} for step, speed in enumerate(speeds)]
        return Page(render_report(make_story(history=history))).said

    # three quarters of the steps on images of half the size: 0.0375 seconds an image
    assert (
        "an epoch of 1,234 faces takes 46 seconds on the machine of this training, at 26.7 images a second on average"
    ) in said(40.0, 40.0, 40.0, 13.3333)
    assert "an epoch of 1,234 faces takes 2.1 minutes" in said(10.0)
    assert "an epoch of 1,234 faces takes 31 seconds" in said(40.0)
    assert "an epoch" not in said()


def test_no_curves(make_story: MakeStory) -> None:
    page = Page(render_report(make_story(history=[])))
    assert "No curves were recorded" in page.said
    assert not any("over training steps" in str(attributes.get("aria-label")) for _, attributes in page.tags)


def test_a_story_is_not_changed_by_telling_it(make_story: MakeStory) -> None:
    story = make_story()
    before = copy.deepcopy(story)
    render_report(story)
    for field in dataclasses.fields(Story):
        told, kept = getattr(story, field.name), getattr(before, field.name)
        if field.name == "evaluation":
            np.testing.assert_equal(told.samples, kept.samples)
            told, kept = told.as_dict(), kept.as_dict()
        if field.name != "report":
            np.testing.assert_equal(told, kept)


def test_every_template_is_included_somewhere() -> None:
    """One that is not would be dead."""
    reports = [get_task(name).report for name in ("inpainting", "restoration", "landmarks")]
    packages = [render.__file__, *(sys.modules[type(report).__module__].__file__ for report in reports)]
    folders = [
        next(path / "templates" for path in Path(file).parents if (path / "templates").is_dir()) for file in packages
    ]
    sections = {name for report in reports for slot in report.sections.values() for name in slot}
    sources = "".join(path.read_text() for folder in folders for path in folder.iterdir())
    for folder in folders:
        names = {path.name for path in folder.iterdir()} - {"report.html", "model_card.md.j2"}
        assert names
        assert {name for name in names if name not in sections and f"'{name}'" not in sources} == set()


def test_a_task_that_says_nothing_of_its_own_has_a_whole_page(
    make_story: MakeStory, make_evaluation: Callable[..., Evaluation], bare_story: Story
) -> None:
    """No levels, no baseline of inpainting, an error of which lower is better, no pictures."""
    error = Metric(name="nme", label="error", unit="%", digits=2, higher_is_better=False)
    scores = Scores()
    for method, value in (("model", 4.0), ("mean_face", 5.5)):
        scores.add(MetricKey("test", "nme", "plain"), method, ["a", "b"], [value, value])
    evaluation = make_evaluation(
        scores=scores,
        metrics=(error,),
        headline=("nme", "plain"),
        baseline="mean_face",
        methods={"model": "model", "mean_face": "mean face"},
        judges=(),
        samples={},
    )
    decision = bare_story.decision.model_copy(update={"means": (), "metrics": (error,)})
    story = make_story(report=TaskReport(), evaluation=evaluation, decision=decision, comparison={}, history=[])
    page = Page(render_report(story))
    assert page.headings[0] == (1, "By error, the model is better than mean face.")
    assert ["model", "12"] not in [row[:2] for row in page.table_rows()]
    assert ["model", "2", "4.00 ± 0.00"] in page.table_rows()
    assert "+1.5 %" in page.said
    assert "error 4.0 %, 1.5 % better than mean face" in page.said
    assert all(limit in page.said for limit in LIMITS)
    for word in ("mask", "hidden", "hole", "Telea", "level", "Confidence"):
        assert word not in re.sub("All settings of.*|validation:.*", "", page.said), word
    assert not re.search(r"<(ul|div|tbody|table|p|section|h\d)\b[^>]*>\s*</\1>", page.html)


RETRAINING = RetrainingStory(
    decision="retrain: 25 new people in train",
    facts=[("parent", "tiny/3"), ("anchor", "tiny/1")],
    clips=[("<b>night</b>.mp4", "taken in: 9 faces of 2 tracks kept, 3 too poor")],
    people={"train": 25, "test": 4},
    drift=[("brightness", "120", "60.5", "−0.90")],
    commands=[("makes it champion, as proposed", "facerecon promote tiny/4 --reason ...")],
)


def retrained(make_story: MakeStory) -> Story:
    """Old faces and new apart, beside a champion that is 0.5 dB better on the new ones, and an anchor nobody knows."""
    story = make_story()
    one, sets = story.evaluation, [FaceSet(name=f"test_{age}", faces=12, identities=5) for age in ("old", "new")]
    faces = one.scores.faces(MetricKey("test", "hole_psnr", "brush", 1), "model")
    scores = one.scores.only(faces).subset("test_old", faces) | one.scores.subset("test_new", faces)
    row = {"metric": "hole_psnr", "case": "brush", "ours": 17.5, "theirs": 18.0, "gain": -0.5, "low": -0.7}
    rows = (Compared(level=1, high=-0.3, **row), Compared(level=None, high=0.1, **row))
    comparisons = (
        Comparison(
            method="champion", other="tiny/3", face_set="test_new", faces=9, identities=4, left_out=1, rows=rows
        ),
        Comparison(
            method="anchor", other="tiny/1", face_set="test_new", obstacle="nobody knows whom both learned from"
        ),
    )
    evaluation = dataclasses.replace(one, scores=scores, face_sets=tuple(sets))
    return dataclasses.replace(story, evaluation=evaluation, comparisons=comparisons, retraining=RETRAINING)


def test_a_retraining_tells_why_on_what_and_beside_whom(make_story: MakeStory) -> None:
    page = Page(render_report(retrained(make_story)))
    text = " ".join("".join(page.text).split())
    assert render._anchors(retrained(make_story))[0] == ("retraining", "Retraining")
    assert "retrain: 25 new people in train." in text
    assert "facerecon promote tiny/4 --reason ..." in text
    assert ["mean over levels", "17.50", "18.00", "−0.500", "−0.700 to +0.100", "not certain"] in page.rows
    assert any(row[-1] == "worse" for row in page.rows if row[1:3] == ["17.50", "18.00"])
    assert "9 faces of 4 people, 1 left out, whom one of both learned from" in text
    assert "test_new, beside the anchor, tiny/1: not compared, nobody knows whom both learned from." in text
    assert ["brightness", "120", "60.5", "−0.90"] in page.rows
    assert "<b>night</b>.mp4" in text, "escaped"


def test_old_faces_and_new_stand_apart_each_with_its_gain(make_story: MakeStory) -> None:
    page = Page(render_report(retrained(make_story)))
    text = " ".join("".join(page.text).split())
    wanted = ["mean over levels", "17.82", "17.62", "+0.20"]
    assert [row for row in page.rows if row[:1] == wanted[:1] and len(row) == 4] == [wanted, wanted], "old, then new"
    assert "Measured apart: test_new, 12 faces, mean over levels: hole PSNR 17.8 dB, 0.2 dB better than Telea" in text
    assert "the old faces of its test split" in text


def test_a_training_has_nothing_of_a_retraining(make_story: MakeStory) -> None:
    html = render_report(make_story())
    for word in ('id="retraining"', "Old faces and new", "Measured apart", "test_old"):
        assert word not in html
