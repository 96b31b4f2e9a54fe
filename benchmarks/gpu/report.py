"""Keep what came back from a GPU: ``python -m benchmarks.gpu.report DIR [--kit .gpu]``.

Judges the models in ``DIR`` on the CPU by networks that taught none of them (LPIPS-VGG, dlib), appends the results to
``benchmarks/results/gpu.jsonl``, and writes the section of docs/benchmarks.md and the sentence of the README anew. One
card a table; further calls on it add points. Without ``DIR`` only the texts are written.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import as_command
from benchmarks.gpu.context import SCALES
from benchmarks.gpu.environment import PROJECT, KitError, read_about
from benchmarks.gpu.kit import open_kit
from benchmarks.gpu.quality import BASELINES, POINTS, RECIPES
from benchmarks.gpu.results import FILE, OK, Row, read
from benchmarks.gpu.throughput import WAYS
from benchmarks.inpainting import measured
from facerecon.data.datasets import evaluation_faces
from facerecon.errors import FaceReconError
from facerecon.files import write_text
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.baselines import fill_by_baseline
from facerecon.tasks.inpainting.evaluator import Fill, fill_by_model, mask_cases
from facerecon.tasks.inpainting.network import network_of

KEPT = PROJECT / "benchmarks" / "results" / "gpu.jsonl"

TEXTS = {PROJECT / "docs" / "benchmarks.md": "section", PROJECT / "README.md": "sentence"}

LEVEL = 2
"""The level of the masks that are judged here: a network of VGG's size looks at each face."""

JUDGED = ("hole_psnr", "ssim", "lpips", "identity")

NOT_MEASURED = "Not measured on a GPU."

ABSENT = "–"


def collect(folder: Path, kit: Path) -> None:
    """Judge what came back in ``folder`` and append it to what is kept.

    Raises:
        FaceReconError: there are no results, they are not of a GPU, of another card than those kept, or of another kit.
    """
    rows, kept = read(folder / FILE), read(KEPT)
    known = {row["call"] for row in kept if row["row"] == "call"}
    calls = [row for row in rows if row["row"] == "call" and row["call"] not in known]
    if not calls:
        raise FaceReconError(f"{folder / FILE} has no call that is not kept yet: give the folder that a call wrote to")
    if any(row["device"] != "cuda" for row in calls):
        raise FaceReconError(f"{folder / FILE} was taken on a CPU, to try the kit: only figures of a GPU are kept")
    of = sorted({f"{row['card']} at commit {row['kit']['commit']}" for row in (*kept, *calls) if row["row"] == "call"})
    if len(of) > 1:
        raise FaceReconError(
            f"the results and those kept are of {' and '.join(of)}; expected one card and one commit in a table: "
            f"remove {KEPT} to replace it"
        )
    try:
        about = read_about(kit, any_code=True)
    except KitError as error:
        raise FaceReconError(str(error)) from None
    if other := {row["kit"]["tree"] for row in calls} - {about["tree"]}:
        raise FaceReconError(f"the results are of a kit of other code ({min(other)[:12]}) than {kit}: give that one")
    # the models in the folder are of its last call that trained
    trained = [
        row["call"] for row in rows if row["row"] == "cell" and row.get("allowed_seconds") and row["outcome"] == OK
    ]
    judged = judge(folder, kit, about) if trained and trained[-1] not in known else []
    new = {row["call"] for row in calls}
    added = [row for row in rows if row["call"] in new] + [{**row, "call": trained[-1]} for row in judged]
    # at once: half a call would count as kept
    write_text(KEPT, "".join(json.dumps(row, allow_nan=False) + "\n" for row in (*kept, *added)))


def judge(folder: Path, kit: Path, about: dict[str, Any]) -> list[Row]:
    """A row for each model in ``folder`` and each baseline: means on test faces under masks of ``LEVEL``."""
    models = {path.stem: TrainedModel.read(path) for path in sorted(folder.glob("*.safetensors"))}
    if not models:
        return []
    with TemporaryDirectory() as state:
        opened = open_kit(kit, about, Path(state))
        faces = evaluation_faces(opened.faces, "test", SCALES["cuda"].faces)
        cases = [case for case in mask_cases(faces, opened.masks) if case.level == LEVEL]
        methods: dict[str, Fill] = {name: fill_by_baseline(name) for name in BASELINES}
        methods |= {name: fill_by_model(network_of(model)) for name, model in models.items()}
        values = measured(methods, faces, cases)
    rows = []
    for method in methods:
        digest = models[method].digest if method in models else None
        found = {case.case: {name: _mean(values[case.case, LEVEL, method, name]) for name in JUDGED} for case in cases}
        rows.append({"row": "judged", "method": method, "digest": digest, "faces": len(faces), "figures": found})
    return rows


def _mean(values: NDArray[np.float64]) -> float | None:
    mean = float(np.mean(values))
    return mean if np.isfinite(mean) else None


# ------------------------------------------------------------------------------------------------------------ the texts


def sentence(rows: Sequence[Row]) -> str:
    """What the README says of GPUs."""
    calls = [row for row in rows if row["row"] == "call"]
    if not calls:
        return f"{NOT_MEASURED} `make gpu-kit` packs what a bare machine with one needs to be measured."
    return f"Measured on {_machine(calls[-1])}: [benchmarks](docs/benchmarks.md#on-a-gpu)."


def section(rows: Sequence[Row]) -> str:
    """The section of docs/benchmarks.md: cells that were not measured are dashes."""
    calls = [row for row in rows if row["row"] == "call"]
    cells = [row for row in rows if row["row"] == "cell"]
    said = f"{_machine(calls[-1])}; {_kit(calls[-1])}" if calls else NOT_MEASURED
    if cut := sorted(
        {f"{row['part']} ({row['outcome']})" for row in rows if row["row"] == "part" and row["outcome"] != OK}
    ):
        said += f" Not measured whole: {', '.join(cut)}."
    return "\n".join(
        [
            said,
            "",
            *_correctness(cells),
            *_throughput(cells),
            *_loops(cells),
            *_quality(cells, [row for row in rows if row["row"] == "judged"]),
            *_aims(cells),
        ]
    )


def _machine(call: Row) -> str:
    return (
        f"{call.get('card') or call['machine']['processor']} with driver {call.get('driver', 'none')}, PyTorch "
        f"{call['torch']}, Python {call['python']}, at commit {call['kit']['commit']}"
    )


def _kit(call: Row) -> str:
    kit = call["kit"]
    return f"{kit['faces']:,} faces of {kit['people']:,} people ({kit['source']}) at {kit['size']} px."


def _last(cells: Iterable[Row], **wanted: Any) -> Row:
    """The last cell with these values; an empty one if there is none."""
    found = [row for row in cells if all(row.get(key) == value for key, value in wanted.items())]
    return found[-1] if found else {}


def _shown(row: Row, key: str, form: str) -> str:
    """A figure of a cell, else how the cell ended, else a dash."""
    if row.get(key) is not None:
        return format(row[key], form)
    return str(row["outcome"]) if row and row["outcome"] != OK else ABSENT


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)] + [""]


def _correctness(cells: Sequence[Row]) -> list[str]:
    def bits(row: Row) -> str:
        if "refused" in row:
            return f"refused: {row['refused']}"
        if row.get("equal_bits") is None:
            return _shown(row, "equal_bits", "")
        return "equal, bit for bit" if row["equal_bits"] else f"differ by up to {row['largest_difference']:.2g}"

    def loss(row: Row) -> str:
        return _shown(row, "over_32_bits", ".4f") + (" of 32 bits' error on val" if "over_32_bits" in row else "")

    def parity(row: Row) -> str:
        if "device_fp32" not in row:
            return _shown(row, "device_fp32", "")
        said = []
        for key, name in (("device_tf32", "unasked (TF32)"), ("device_fp32", "in fp32")):
            value = row[key]["reconstruction"]
            said.append(f"{'equal' if value is None else f'{value:.1f} dB'} {name}")
        return ", ".join(said)

    wanted: list[tuple[str, Callable[[Row], str], str]] = []
    wanted += [(f"{name} trains", loss, f"training in {name}") for name in ("32-true", "bf16-mixed", "16-mixed")]
    wanted += [(f"killed and resumed in {name}", bits, f"resuming in {name}") for name in ("32-true", "bf16-mixed")]
    for name in ("plain", "ours"):
        for said in ("", ", deterministic algorithms"):
            wanted.append((f"one step twice{said}: {name}", bits, f"one step twice{said}: {name}"))
    wanted.append(("the card beside ONNX Runtime on the CPU", parity, "parity"))
    found = [(title, show(_last(cells, cell=cell))) for title, show, cell in wanted]
    return _table(("correctness", "seen"), found)


def _throughput(cells: Sequence[Row]) -> list[str]:
    ways = list(WAYS)
    head = ["images/s", *reversed(ways), "compiled", "share of peak, bf16", "MiB, bf16"]
    lines = []
    for network in ("default", "large U-Net"):
        for size in SCALES["cuda"].sizes:
            for phase in ("training", "inference"):
                cell = partial(_last, cells, network=network, px=size, phase=phase)
                best = cell(way=ways[0])
                lines.append(
                    [
                        f"{network}{_millions(best)}, {size} px, {phase}",
                        *(_shown(cell(way=way), "images_per_second", ",.0f") for way in reversed(ways)),
                        _shown(cell(way=f"compiled, {ways[0]}"), "images_per_second", ",.0f"),
                        _shown(best, "share_of_peak", ".0%"),
                        _shown(best, "memory_mib", ",.0f"),
                    ]
                )
    peaks = (
        f"{_shown(_last(cells, cell=f'matrix product, {name}'), 'tflops', ',.0f')} {name}" for name in ("bf16", "fp32")
    )
    said = (
        f"Batches of {SCALES['cuda'].images}, a loss of pixels; peaks by a matrix product, TFLOP/s: {', '.join(peaks)}."
    )
    return [*_table(head, lines), said, ""]


def _millions(row: Row) -> str:
    return f" ({row['parameters'] / 1e6:.1f} M parameters)" if row.get("parameters") else ""


def _loops(cells: Sequence[Row]) -> list[str]:
    plain = _last(cells, cell="loop: plain")
    lines = []
    for name in ("plain", "ours", "ours, loader workers"):
        row = _last(cells, cell=f"loop: {name}")
        ratio = ABSENT
        if row.get("images_per_second") and plain.get("images_per_second"):
            ratio = f"{row['images_per_second'] / plain['images_per_second']:.2f}"
        lines.append((f"loop: {name}", _shown(row, "images_per_second", ",.0f"), ratio))
    for row in _loaders(cells):
        lines.append((row["cell"], _shown(row, "images_per_second", ",.0f"), ""))
    parts = _last(cells, cell="parts of a step")
    shares = parts.get("shares", {})
    largest = ", ".join(f"{name} {shares[name]:.0%}" for name in parts.get("largest", ())) or ABSENT
    head = ("the plain network with all losses, batches of 16", "images/s", "of the plain loop")
    return [*_table(head, lines), f"The three largest parts of a step, one after the other: {largest}.", ""]


def _loaders(cells: Sequence[Row]) -> list[Row]:
    found = [row for row in cells if str(row["cell"]).startswith("loader alone")]
    return list({row["cell"]: row for row in found}.values()) or [{"cell": "loader alone", "outcome": OK}]


def _quality(cells: Sequence[Row], judged: Sequence[Row]) -> list[str]:
    """One table a call that trained, so that more calls are more points."""
    calls = list(dict.fromkeys(row["call"] for row in cells if row["part"] == "quality")) or [""]
    names = [f"{name}, {precision}" for name, precision in RECIPES]
    tables = []
    for call in calls:
        of_call = [row for row in cells if row["call"] == call]
        baselines = _last(of_call, cell="baselines")
        lines = []
        for share in POINTS:
            rows = [
                # what was not measured says how its training ended
                _last(of_call, cell=f"measured: {name}, after {share:g}") or _last(of_call, cell=f"trained: {name}")
                for name in names
            ]
            seconds = (_shown(row, "trained_seconds", ".0f") for row in rows)
            lines.append([f"seconds of training, {share:g} of the steps", "", *seconds, ""])
            for case in ("brush", "held_out"):
                values = [_figure(row, name, case, "hole_psnr") for row, name in zip(rows, names, strict=True)]
                telea = _figure(baselines, "telea", case, "hole_psnr")
                lines.append([f"hole PSNR, dB: {case} 2", telea, *values, _gain(values)])
        stems = [f"{name}-{precision}" for name, precision in RECIPES]
        found = {row["method"]: row["figures"] for row in judged if row["call"] == call}
        for case in ("brush", "held_out"):
            for key, title, form in (("lpips", "LPIPS (VGG)", ".3f"), ("identity", "identity, cosine (dlib)", ".3f")):
                means = [found.get(method, {}).get(case, {}).get(key) for method in ("telea", *stems)]
                shown = [ABSENT if value is None else format(value, form) for value in means]
                lines.append([f"{title}: {case} 2, the whole", *shown, ""])
        of = ""
        if baselines.get("faces"):
            of = f", {baselines['faces']} faces of {baselines['people']} people in no training"
        tables += _table((f"quality{of}", "Telea", *names, "gain of ours over the better plain one"), lines)
    return tables


def _gain(values: Sequence[str]) -> str:
    """Of shown figures, how far the first is above the best of the others."""
    try:
        ours, *plain = map(float, values)
    except ValueError:
        return ABSENT
    return f"{ours - max(plain):+.2f}"


def _figure(row: Row, method: str, case: str, metric: str) -> str:
    for figure in row.get("figures", ()):
        if (figure["method"], figure["case"], figure["level"]) == (method, case, LEVEL):
            return ABSENT if figure[metric] is None else f"{figure[metric]:.2f}"
    return _shown(row, metric, "")


def _aims(cells: Sequence[Row]) -> list[str]:
    def rate(cell: str) -> float | None:
        value: float | None = _last(cells, cell=cell).get("images_per_second")
        return value

    plain = rate("loop: plain")
    ours = max(filter(None, (rate("loop: ours"), rate("loop: ours, loader workers"))), default=None)
    loader = max((row["images_per_second"] for row in _loaders(cells) if "images_per_second" in row), default=None)
    peak = _last(cells, network="large U-Net", px=256, phase="training", way=next(iter(WAYS))).get("share_of_peak")
    return _table(
        ("aim", "seen"),
        (
            ("4 times the plain loop's images/s", f"{ours / plain:.2f}" if ours and plain else ABSENT),
            (
                "loader and masks are never the brake: images/s of the loader over the loop's, above 1",
                f"{loader / ours:.2f}" if loader and ours else ABSENT,
            ),
            ("half of the measured bf16 peak: large U-Net, 256 px", f"{peak:.0%}" if peak else ABSENT),
        ),
    )


def write_texts(rows: Sequence[Row]) -> None:
    """Write the section and the sentence into their files, between the marks that say where."""
    for file, name in TEXTS.items():
        text = {"section": section, "sentence": sentence}[name](rows)
        before, after = file.read_text(encoding="utf-8").split(_mark(name), 1)
        write_text(file, f"{before}{_mark(name)}\n{text.rstrip()}\n{_end(name)}{after.split(_end(name), 1)[1]}")


def written(file: Path, name: str) -> str:
    """What stands between the marks in a file."""
    return file.read_text(encoding="utf-8").split(_mark(name), 1)[1].split(_end(name), 1)[0].strip()


def _mark(name: str) -> str:
    return f"<!-- benchmarks.gpu.report: {name} -->"


def _end(name: str) -> str:
    return f"<!-- end of the {name} -->"


def main() -> None:
    """Judge, keep and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="what a call of benchmarks.gpu wrote to")
    parser.add_argument("--kit", type=Path, default=Path(".gpu"), help="the kit that it had")
    args = parser.parse_args()
    if args.folder is not None:
        collect(args.folder, args.kit)
    write_texts(read(KEPT))


if __name__ == "__main__":
    as_command(main)
