"""The report: right numbers, nothing unescaped, nothing from outside, the same bytes every time."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facerecon.config.run import RunSettings
from facerecon.corruption.masks import draw_mask
from facerecon.evaluation import report
from facerecon.evaluation.report import Story, nice_ticks, render_report, sample_rows, signed_text, training_charts
from facerecon.models import build_model

SIZE = 64
VOID = {"meta", "img", "br", "line", "path", "circle"}
PSNR = {"model": (17.44, 18.62, 17.41), "telea": (18.36, 17.68, 16.83), "mean_fill": (14.04, 13.53, 12.97)}
LEVELS = (1, 2, 3)


def summary(mean: float | None, infinite: int = 0) -> dict[str, Any]:
    return {"mean": mean, "std": None if mean is None else 2.1, "n": 12, "infinite": infinite}


def table_rows(family: str, levels: tuple[int | None, ...]) -> list[dict[str, Any]]:
    rows = []
    for place, level in enumerate(levels):
        about = {"family": family, "level": level, "hole_ratio": 0.2013}
        for method, psnr in PSNR.items():
            figures = {key: summary(psnr[place] / 50) for key in ("ssim", "lpips", "identity")}
            figures |= {"whole_psnr": summary(psnr[place] + 5), "hole_psnr": summary(psnr[place])}
            rows.append({"method": method, **about, **figures})
        rows.append({"method": "masked_input", **about, "identity": summary(0.1234)})
    return rows


def make_samples(faces: int = 3, size: int = SIZE) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    levels = np.array([index % 3 + 1 for index in range(faces)])
    masks = np.stack([draw_mask("brush", size, 0.2 * level, rng) for level in levels])
    # coarse noise, so that the files have a photograph's size
    small = rng.integers(0, 256, (faces, size // 8, size // 8, 3), dtype=np.uint8)
    original = small.repeat(8, axis=1).repeat(8, axis=2)
    wrong = (original.astype(int) + 40).clip(0, 255).astype(np.uint8)
    hole = masks[..., None] == 1
    reconstructed = np.where(hole, wrong, original)
    confidence = np.where(masks == 1, np.uint8(51), np.uint8(255))
    error = np.abs(reconstructed.astype(int) - original).mean(axis=3).round().astype(np.uint8)
    telea = np.where(hole, np.uint8(128), original)
    return {
        "level": levels,
        "original": original,
        "mask": masks,
        "reconstructed": reconstructed,
        "telea": telea,
        "error": error,
        "confidence": confidence,
    }


def make_story(**changes: Any) -> Story:
    settings = RunSettings(
        name="tiny",
        data={"source": "folder", "path": "data/sample", "licence": "CC0"},
        model={"options": {"features": [8, 16]}},
        masks={"training_families": ["brush", "noise"]},
    ).model_dump(mode="json")
    figures = {
        "split": {"name": "test", "faces": 12, "identities": 5},
        "judges": {
            "lpips": {"network": "lpips_vgg", "in_loss": False},
            "identity": {"network": "sface", "in_loss": True},
        },
        "model": {"family": "unet_attention", "size": SIZE, "step": 400, "weights": "8f" * 32},
        "data": "3a" * 32,
        "masks": "c4" * 32,
        "table": [
            *table_rows("boxes", LEVELS),
            *table_rows("brush", LEVELS),
            *table_rows("held_out", LEVELS),
            *table_rows("features/left_eye", (None,)),
        ],
    }
    history = [
        {"step": step, "learning_rate": 1e-3 / step, "loss/total": 100 / step, "loss/hole": 10 / step}
        | (
            {f"val/hole_psnr_level_{k}": 20.0 - k for k in LEVELS} | {"val/hole_l1": 30 / step}
            if step % 200 == 0
            else {}
        )
        for step in range(50, 601, 50)
    ]
    parts: dict[str, Any] = {
        "name": "tiny",
        "settings": settings,
        "figures": figures,
        "samples": make_samples(),
        "history": history,
        "counts": {"train": 1234, "val": 11, "gate": 13, "test": 12, "identities": 77, "quarantined": 5},
        "quarantine": {"no face found": 3, "cannot be decoded": 2},
        "export": {
            "bytes": 7_823_411,
            "faces": 8,
            "threads": 2,
            "parity_psnr": {"reconstruction": 131.24, "confidence": None},
            "latency": {"onnxruntime_ms": {"median": 6.31, "p95": 7.9}, "pytorch_ms": {"median": 11.82, "p95": 14.2}},
        },
        "decision": {
            "champion": False,
            "version": 4,
            "reason": "0.09 dB worse than version 3",
            "challenger": {"level_1": 20.01, "level_2": 19.12, "level_3": 18.2},
            "champion_before": {"level_1": 20.1, "level_2": 19.21, "level_3": 18.29},
            "champion_version": 3,
        },
        "provenance": {"git commit": "b7e1" * 10, "seed": "0"},
        "weights": [
            {
                "name": name,
                "purpose": "p",
                "licence": f"licence of {name}",
                "package": "p==1",
                "file": "f",
                "sha256": "5c",
            }
            | {"path": "/home/someone/cache/file", "present": True}
            for name in ("face_landmarker", "lpips_alex", "lpips_vgg", "sface")
        ],
    }
    return Story(**(parts | changes))


class Page(HTMLParser):
    """Fails on a tag that is not closed; collects attributes and the cells of every table."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.bold: list[str] = []
        self.text: list[str] = []
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
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "strong" and "td" in self.open:
            self.bold.append(data)

    @property
    def said(self) -> str:
        return " ".join("".join(self.text).split())

    def table_rows(self) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.rows]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(make_story()))


def pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_tables_hold_the_figures(page: Page) -> None:
    rows = page.table_rows()
    assert ["model", "12", "22.44 ± 2.10", "17.44 ± 2.10", "0.349 ± 2.100", "0.349 ± 2.100", "0.349 ± 2.100"] in rows
    assert ["Telea", "12", "23.36 ± 2.10", "18.36 ± 2.10", "0.367 ± 2.100", "0.367 ± 2.100", "0.367 ± 2.100"] in rows
    assert ["model", "12", "23.62 ± 2.10", "18.62 ± 2.10", *["0.372 ± 2.100"] * 3] in rows
    assert ["hidden input", "12", "–", "–", "–", "–", "0.123 ± 2.100"] in rows
    groups = [row[0] for row in rows if len(row) == 1]
    assert groups == [
        f"level {k} ({low}-{low + 20} % hidden) 20.1 % of the picture on average"
        for _ in ("brush", "boxes", "held_out")
        for k, low in ((1, 10), (2, 30), (3, 50))
    ] + ["left eye 20.1 % of the picture on average"]


def test_the_best_alone_is_bold(page: Page) -> None:
    # hole PSNR at levels 1, 2, 3: Telea, the model, the model; LPIPS always the lowest, which is mean fill
    assert {"18.36", "18.62", "17.41"} <= set(page.bold)
    assert not {"17.44", "17.68", "16.83", "14.04"} & set(page.bold)
    assert page.bold.count("0.281") == 4


def test_a_worse_model_is_said_to_be_worse(page: Page) -> None:
    (headline,) = re.findall(r"<h1>(.*?)</h1>", render_report(make_story()))
    assert headline == (
        "In the holes, the model is worse than Telea inpainting at level 1 and better at levels 2 and 3."
    )
    assert "17.4 dB in the holes, 0.9 dB worse than Telea, 3.4 dB better than mean fill" in page.said
    assert "−0.9 dB" in page.said
    assert "+0.9 dB" in page.said
    assert (
        "LPIPS is worse than that of Telea at levels 2 and 3, and that of mean fill at levels 1, 2 and 3" in page.said
    )


def test_infinite_is_infinite() -> None:
    story = make_story()
    for row in story.figures["table"]:
        if row["method"] == "model" and row["family"] == "features/left_eye":
            row["hole_psnr"], row["whole_psnr"] = summary(None, infinite=12), summary(30.0, infinite=2)
    rows = Page(render_report(story)).table_rows()
    assert ["model", "12", "30.00 ± 2.10 + 2 × ∞", "∞"] in [row[:4] for row in rows]
    assert "None" not in render_report(story)


def test_export_promotion_data_and_licences(page: Page) -> None:
    said = page.said
    assert "131 dB" in said
    assert "∞ dB" in said
    assert "6.3 ms" in said
    assert "11.8 ms" in said
    assert "each used 2 threads" in said
    assert "7.8 MB" in said
    assert "Version 4 stays a challenger; version 3 remains champion: 0.09 dB worse than version 3." in said
    rows = page.table_rows()
    assert ["level 2", "19.12", "19.21", "−0.09"] in rows
    assert ["no face found", "3"] in rows
    assert "1,234 faces" in said
    assert ["seed", "0"] in rows
    assert ["sface", "identity loss, judge of identity", "licence of sface", "p==1", "5c"] in rows
    assert "identity: sface, also in the loss" in said
    assert "LPIPS: lpips_vgg, not in the loss" in said
    assert "not evidence of who a person is" in said


def test_first_champion_has_none_before() -> None:
    decision = make_story().decision | {
        "champion": True,
        "champion_before": None,
        "champion_version": None,
        "reason": "it is the first.",
    }
    page = Page(render_report(make_story(decision=decision)))
    assert "Version 4 is the new champion: it is the first. " in page.said
    assert ["level 1", "20.01", "–", "–"] in page.table_rows()


def test_never_trained_on_follows_the_settings(page: Page) -> None:
    story = make_story()
    assert [family for family in ("brush", "noise", "boxes", "held_out") if story.never_trained(family)] == [
        "boxes",
        "held_out",
    ]
    assert not story.never_trained("features/nose")
    story.settings["masks"]["feature_share"] = 0.0
    assert story.never_trained("features/nose")
    assert "held out masks never trained on" in page.said
    assert "brush masks never" not in page.said


def test_weights_that_were_not_used_are_not_listed() -> None:
    story = make_story()
    story.settings["training"]["losses"] |= {"perceptual": 0.0, "identity": 0.0}
    story.figures["judges"]["identity"] = {"network": "facenet", "in_loss": False}
    used = {row["name"]: row for row in story.used_weights}
    assert list(used) == ["face_landmarker", "facenet", "lpips_vgg"]
    assert used["facenet"]["licence"] == "not recorded: supplied by the user"
    assert used["lpips_vgg"]["use"] == "judge of LPIPS"


def test_parameters_are_those_of_the_network(page: Page) -> None:
    model = build_model("unet_attention", {"features": [8, 16]})
    count = sum(parameter.numel() for parameter in model.parameters())
    assert make_story().parameters == count
    assert f"{count:,} parameters" in page.said


def test_nothing_comes_from_outside(page: Page) -> None:
    allowed = {"href": "#", "src": "data:image/png;base64,"}
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in allowed:
                assert str(value).startswith(allowed[name])
            assert name not in ("srcset", "action", "xlink:href")
    html = render_report(make_story())
    assert not re.search(r"https?:|url\(|@import", html)
    assert "/home/someone" not in html


def test_every_picture_and_header_can_be_read_aloud(page: Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3 * 6 + 3 * 3
    assert all(attributes["alt"] for attributes in images)
    assert len({attributes["alt"] for attributes in images}) == len(images)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert all(attributes["aria-label"] for tag, attributes in page.tags if tag == "svg")
    targets = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert targets <= {attributes.get("id") for _, attributes in page.tags}


EVIL = '<script>alert("x")</script>&<img src=x onerror=y>'


def test_everything_is_escaped() -> None:
    story = make_story(
        name=EVIL, quarantine={EVIL: 2}, provenance={EVIL: EVIL}, decision=make_story().decision | {"reason": EVIL}
    )
    story.settings["data"] |= {"source": EVIL, "licence": EVIL, "path": EVIL}
    story.figures["judges"]["lpips"]["network"] = EVIL
    story.figures["split"]["name"] = EVIL
    html = render_report(story)
    page = Page(html)
    assert "<script" not in html
    assert not any(tag == "script" or "onerror" in attributes for tag, attributes in page.tags)
    assert page.said.count(EVIL) >= 10


def test_same_story_same_bytes() -> None:
    assert render_report(make_story()) == render_report(make_story())
    assert render_report(make_story()) != render_report(make_story(provenance={"seed": "1"}))


def test_pictures_show_what_they_say() -> None:
    samples = make_samples()
    rows, side = sample_rows(samples)
    assert side == SIZE
    for index, row in enumerate(rows):
        hole = samples["mask"][index] == 1
        original, hidden, ours, telea, error, confidence = (pixels(tile.src) for tile in row["tiles"])
        assert np.array_equal(original, samples["original"][index])
        assert np.array_equal(ours, samples["reconstructed"][index])
        assert np.array_equal(telea, samples["telea"][index])
        assert (hidden[hole] == report.HOLE_COLOUR).all()
        assert np.array_equal(hidden[~hole], original[~hole])
        assert (confidence[~hole] == report.KNOWN_GRAY).all()
        assert len(np.unique(confidence[hole], axis=0)) == 1
        assert (error[~hole] == error[~hole][0]).all()
        squared = (ours[hole].astype(float) - original[hole]) ** 2
        assert row["tiles"][2].figure == f"{10 * np.log10(255**2 / squared.mean()):.1f} dB"
        assert row["tiles"][5].figure == "0.20"
    assert [row["level"] for row in rows] == [1, 2, 3]


def test_error_scale_is_fixed() -> None:
    """One face's map does not depend on the other faces' errors, and ends at ERROR_SCALE."""
    samples = make_samples(2)
    samples["error"][0], samples["error"][1] = 32, 64
    half, end = (pixels(row["tiles"][4].src) for row in sample_rows(samples)[0])
    samples["error"][1] = 200
    same, beyond = (pixels(row["tiles"][4].src) for row in sample_rows(samples)[0])
    assert np.array_equal(half, same)
    assert np.array_equal(end, beyond)
    assert not np.array_equal(half, end)


def test_exact_reconstruction_is_infinite() -> None:
    samples = make_samples(1)
    samples["reconstructed"] = samples["original"].copy()
    assert sample_rows(samples)[0][0]["tiles"][2].figure == "∞ dB"


def test_a_model_without_confidence_shows_no_map() -> None:
    samples = make_samples()
    samples["confidence"][:] = 255
    page = Page(render_report(make_story(samples=samples)))
    assert "does not say how sure it is" in page.said
    assert not any("map of the model's confidence" in str(attributes.get("alt")) for _, attributes in page.tags)


def test_large_faces_are_shown_smaller_and_the_page_stays_small() -> None:
    samples = make_samples(16, 512)
    noise = np.random.default_rng(1).integers(-12, 13, samples["original"].shape)
    for name in ("original", "reconstructed", "telea"):
        samples[name] = (samples[name] + noise).clip(0, 255).astype(np.uint8)
    story = make_story(samples=samples)
    story.figures["model"]["size"] = 512
    html = render_report(story)
    assert len(html.encode()) < 3_000_000
    shown = re.search(r"Shown at (\d+) px, reduced from 512 px", html)
    assert shown
    assert 64 <= int(shown[1]) < 512


def test_curves() -> None:
    history = make_story().history
    charts = {chart.title: chart for chart in training_charts(history, 400)}
    assert list(charts) == [
        "validation: hole PSNR, dB",
        "validation: hole L1",
        "loss: total",
        "loss: hole",
        "learning rate",
    ]
    psnr = charts["validation: hole PSNR, dB"]
    assert [line.name for line in psnr.lines] == ["level 1", "level 2", "level 3"]
    assert [line.end[1] for line in psnr.lines] == sorted(line.end[1] for line in psnr.lines)
    total = charts["loss: total"]
    assert total.lines[0].path.count("L") == len(history) - 1
    assert total.last == f"{100 / 600:.3g}"
    left, right = total.x_ticks[0][0], total.x_ticks[-1][0]
    assert total.kept == pytest.approx(left + (right - left) * 400 / 600, abs=0.1)
    for chart in charts.values():
        for line in chart.lines:
            points = np.array(re.findall(r"([\d.]+),([\d.]+)", line.path), dtype=float)
            assert ((points >= 0) & (points <= (report.WIDTH, report.HEIGHT))).all()


@pytest.mark.parametrize("history", [[], [{"step": 1, "learning_rate": 0.0, "loss/total": 0.0}]])
def test_short_histories(history: list[dict[str, float]]) -> None:
    said = Page(render_report(make_story(history=history))).said
    assert ("No curves were recorded" in said) is (not history)


def test_labels_of_near_curves_do_not_overlap() -> None:
    rows = [{"step": 10, **{f"val/hole_psnr_level_{k}": 18 + k / 1000 for k in LEVELS}}]
    heights = sorted(line.label_y for line in training_charts(rows, 10)[0].lines)
    assert min(np.diff(heights)) >= 12


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (14.4, 19.8), (1e-6, 2e-3), (-3, 5), (7, 7), (0, 0), (99.99, 100.01), (0.3, 0.3000001)]
)
def test_ticks_are_few_and_enclose(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert ticks[0] <= low
    assert high <= ticks[-1]
    assert len({f"{tick:.10g}" for tick in ticks}) == len(ticks)


def test_differences_have_signs() -> None:
    assert [signed_text(value) for value in (1.26, -1.26, 0.04, -0.04)] == ["+1.3", "−1.3", "0.0", "0.0"]


def test_a_digest_is_told_once() -> None:
    story = make_story()
    assert list(story.origins) == ["weights", "manifest", "evaluation masks", "git commit", "seed"]
    known = make_story(provenance={"weights_digest": "8f" * 32, "seed": "0"})
    assert known.origins == {
        "manifest": "3a" * 32,
        "evaluation masks": "c4" * 32,
        "weights_digest": "8f" * 32,
        "seed": "0",
    }


def test_a_story_is_not_changed_by_telling_it() -> None:
    story = make_story()
    before = dataclasses.asdict(story)
    render_report(story)
    np.testing.assert_equal(dataclasses.asdict(story), before)
