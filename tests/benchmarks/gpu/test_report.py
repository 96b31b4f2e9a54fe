"""What is kept of a GPU's figures, and what README and docs say of them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import report
from benchmarks.gpu.quality import POINTS
from benchmarks.gpu.report import KEPT, NOT_MEASURED, TEXTS, collect, section, sentence, write_texts, written
from benchmarks.gpu.results import FILE, append, read
from facerecon.errors import FaceReconError


def results(kit: Path, call: str = "first", **changed: Any) -> list[dict[str, Any]]:
    """The rows of a call on a GPU with a kit."""
    about = json.loads((kit / "kit.json").read_text())
    of = {"commit": about["commit"], "tree": about["tree"], "faces": 2500, "people": 1535, "source": "lfw", "size": 128}
    machine = {
        "device": "cuda",
        "card": "Card 9000",
        "driver": "580.1",
        "python": "3.12.3",
        "torch": "2.11.0",
        "kit": of,
    }
    bits = {"equal_bits": False, "largest_difference": 2e-5}
    quality = {"part": "quality", "faces": 64, "people": 53}
    cells = [
        {"part": "correctness", "cell": "resuming in 32-true", **bits},
        {"part": "correctness", "cell": "one step twice, deterministic algorithms: ours", "refused": "cumsum has none"},
        {"part": "correctness", "cell": "training in 16-mixed", "over_32_bits": 1.0021},
        {"part": "throughput", "cell": "loop: plain", "images_per_second": 200.0},
        {"part": "throughput", "cell": "loop: ours", "images_per_second": 1234.5},
        {"part": "throughput", "cell": "matrix product, bf16", "tflops": 788.0},
        {**cell(256, "bf16, channels last"), "images_per_second": 3000.0, "share_of_peak": 0.43, "memory_mib": 9000.0},
        {**cell(256, "fp32, eager"), "outcome": "out of memory"},
        {**quality, "cell": "baselines", "figures": figures("telea", 16.5)},
    ]
    for name, best in (("ours, bf16-mixed", 20.75), ("plain, bf16-mixed", 19.5), ("plain, 32-true", 19.25)):
        for share in POINTS:
            row = {**quality, "cell": f"measured: {name}, after {share:g}", "trained_seconds": 80 * share}
            cells.append({**row, "figures": figures(name, best + share - 1)})
    rows = [{"row": "call", "call": call, **machine, **changed}]
    rows += [{"row": "cell", "call": call, "outcome": "ok", **row} for row in cells]
    return [*rows, {"row": "part", "call": call, "part": "throughput", "outcome": "cut off"}]


def cell(px: int, way: str) -> dict[str, Any]:
    about = {"network": "large U-Net", "px": px, "phase": "training", "way": way, "parameters": 31_957_017}
    return {"part": "throughput", "cell": f"large U-Net, {px} px, training, {way}", **about}


def figures(method: str, psnr: float) -> list[dict[str, Any]]:
    cases = [("brush", 2, psnr), ("held_out", 2, psnr - 1), ("brush", 1, psnr + 1)]
    return [{"method": method, "case": case, "level": level, "hole_psnr": value} for case, level, value in cases]


@pytest.fixture
def back(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what came back; what is kept goes elsewhere."""
    monkeypatch.setattr(report, "KEPT", tmp_path / "gpu.jsonl")
    for row in results(kit):
        append(tmp_path / "back" / FILE, row)
    return tmp_path / "back"


def test_readme_and_docs_say_what_is_kept() -> None:
    rows = read(KEPT)
    for file, name in TEXTS.items():
        assert written(file, name) == {"section": section, "sentence": sentence}[name](rows).strip()


def test_without_results_nothing_is_claimed() -> None:
    assert sentence([]).startswith("Not measured on a GPU")
    said = section([])
    assert said.startswith(NOT_MEASURED)
    values = [cell for line in said.splitlines() for cell in line.split("|")[2:]]
    assert not [cell for cell in values if re.search(r"\d (MiB|dB)|\d\.\d\d|\d%", cell)]


def test_with_results_both_carry_commit_card_torch_and_python(back: Path, kit: Path) -> None:
    collect(back, kit)
    rows = read(report.KEPT)
    for said in (sentence(rows), section(rows)):
        for fact in ("Card 9000", "driver 580.1", "PyTorch 2.11.0", "Python 3.12.3", "at commit 4711abc"):
            assert fact in said
    assert NOT_MEASURED not in section(rows)


def test_the_tables_hold_the_figures(back: Path, kit: Path) -> None:
    collect(back, kit)
    said = section(read(report.KEPT))
    for line in (
        "2,500 faces of 1,535 people (lfw) at 128 px. Not measured whole: throughput (cut off).",
        "| killed and resumed in 32-true | differ by up to 2e-05 |",
        "| one step twice, deterministic algorithms: ours | refused: cumsum has none |",
        "| 16-mixed trains | 1.0021 of 32 bits' error on val |",
        "| large U-Net (32.0 M parameters), 256 px, training | out of memory | – | 3,000 | – | 43% | 9,000 |",
        "peaks by a matrix product, TFLOP/s: 788 bf16, – fp32.",
        "| loop: ours | 1,234 | 6.17 |",
        "| seconds of training, 0.5 of the steps |  | 40 | 40 | 40 |  |",
        "| hole PSNR, dB: brush 2 | 16.50 | 20.25 | 19.00 | 18.75 | +1.25 |",
        "| hole PSNR, dB: held_out 2 | 15.50 | 19.75 | 18.50 | 18.25 | +1.25 |",
        "| 4 times the plain loop's images/s | 6.17 |",
        "| half of the measured bf16 peak: large U-Net, 256 px | 43% |",
    ):
        assert line in said


def test_a_recipe_that_was_cut_off_says_so(kit: Path) -> None:
    rows = [row for row in results(kit) if "measured: plain, 32-true" not in row.get("cell", "")]
    rows.append({"row": "cell", "call": "first", "part": "quality", "cell": "trained: plain, 32-true"})
    rows[-1]["outcome"] = "cut off"
    assert "| hole PSNR, dB: brush 2 | 16.50 | 20.25 | 19.00 | cut off | – |" in section(rows)


def test_a_call_is_kept_once_and_the_next_one_added(back: Path, kit: Path) -> None:
    collect(back, kit)
    before = read(report.KEPT)
    assert before == results(kit)
    with pytest.raises(FaceReconError, match="no call that is not kept yet"):
        collect(back, kit)
    assert read(report.KEPT) == before
    for row in results(kit, "second"):
        append(back / FILE, row)
    collect(back, kit)
    assert read(report.KEPT) == results(kit) + results(kit, "second")
    assert section(read(report.KEPT)).count("| quality") == 2


def test_a_call_is_kept_whole_or_not_at_all(back: Path, kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (back / FILE).open("a") as stream:
        stream.write('{"row": "cell", "call": "first", "part": "quality", "cell": "last", "value": NaN}\n')
    with pytest.raises(ValueError, match="JSON"):
        collect(back, kit)
    assert not report.KEPT.exists()


def test_figures_of_a_cpu_are_not_kept(back: Path, kit: Path) -> None:
    append(back / FILE, {**results(kit, "second")[0], "device": "cpu"})
    with pytest.raises(FaceReconError, match="taken on a CPU"):
        collect(back, kit)
    assert not report.KEPT.exists()


@pytest.mark.parametrize("other", [{"card": "Card 1"}, {"kit": {"commit": "0123456789ab"}}])
def test_two_cards_or_two_commits_do_not_share_a_table(back: Path, kit: Path, other: dict[str, Any]) -> None:
    append(report.KEPT, {**results(kit, "before")[0], **other})
    before = report.KEPT.read_bytes()
    with pytest.raises(FaceReconError, match=r"one card and one commit"):
        collect(back, kit)
    assert report.KEPT.read_bytes() == before


def test_results_of_another_kit_are_refused(back: Path, kit: Path) -> None:
    about = json.loads((kit / "kit.json").read_text())
    (kit / "kit.json").write_text(json.dumps({**about, "tree": "0" * 64}))
    with pytest.raises(FaceReconError, match="a kit of other code"):
        collect(back, kit)


def test_texts_are_written_between_their_marks(
    back: Path, kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {Path(shutil.copy(file, tmp_path)): name for file, name in TEXTS.items()}
    monkeypatch.setattr(report, "TEXTS", texts)
    collect(back, kit)
    for _ in range(2):
        write_texts(read(report.KEPT))
        for (file, name), original in zip(texts.items(), TEXTS, strict=True):
            assert "Card 9000" in written(file, name)
            outside = [text.read_text().split("<!--")[0] for text in (file, original)]
            assert outside[0] == outside[1]
    write_texts([])
    for file, original in zip(texts, TEXTS, strict=True):
        if not KEPT.exists():
            assert file.read_bytes() == original.read_bytes()
