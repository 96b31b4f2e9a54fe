"""Plots of the benchmarks' results."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from facerecon.files import atomic_path

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

LABELS = {
    "navier_stokes": "Navier-Stokes",
    "smooth_fill": "smooth fill",
    "prior_alone": "prior of ours, no training",
    "plain": "plain",
    "plain_tuned": "plain, our loop, tuned",
    "ours_third": "ours, a third of the time",
    "ours_small": "small, a third of the time",
    "ours": "ours",
}
COLOURS = {
    "navier_stokes": "#b9b4a7",
    "smooth_fill": "#d9b36c",
    "prior_alone": "#c0803a",
    "plain": "#8fa7b3",
    "plain_tuned": "#4f7d95",
    "ours_third": "#5fb3a5",
    "ours_small": "#a6d5cd",
    "ours": "#0b6b76",
}


def plot_quality(result: dict[str, Any], path: Path) -> None:
    """Hole PSNR over Telea's, by kind of mask and recipe, a panel for each set of faces."""
    figure, panels = plt.subplots(len(result["sets"]), 1, figsize=(11, 3.6 * len(result["sets"])), squeeze=False)
    for panel, (title, measured) in zip(panels[:, 0], result["sets"].items(), strict=True):
        psnr = {
            (row["method"], row["family"], row["level"]): row["hole_psnr"]["mean"]
            for row in measured["rows"]
            if row["hole_psnr"]["mean"] is not None
        }
        kinds = sorted({(family, level) for _, family, level in psnr})
        methods = [name for name in COLOURS if any(method == name for method, *_ in psnr)]
        width = 0.8 / len(methods)
        for place, method in enumerate(methods):
            gains = [psnr[method, *kind] - psnr["telea", *kind] for kind in kinds]
            x = np.arange(len(kinds)) + (place - (len(methods) - 1) / 2) * width
            panel.bar(x, gains, width, label=LABELS[method], color=COLOURS[method])
        panel.axhline(0, color="#1b1f24", linewidth=0.8)
        panel.set_xticks(np.arange(len(kinds)), [f"{family}\nlevel {level}" for family, level in kinds], fontsize=7)
        panel.set_ylabel("hole PSNR over Telea, dB")
        panel.set_title(f"{title}: {measured['faces']} faces of {measured['identities']} people", fontsize=10)
        panel.set_ylim(top=1.35 * panel.get_ylim()[1])  # room for the legend
    panels[0, 0].legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
    figure.suptitle(f"{result['minutes']:g} minutes of training on the same machine, {result['size']} px", fontsize=11)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def plot_inference(result: dict[str, Any], path: Path) -> None:
    """Median latency of each backend and model, a panel for each size."""
    sizes = sorted({row["size"] for row in result["rows"]})
    figure, panels = plt.subplots(1, len(sizes), figsize=(4.2 * len(sizes), 3.8), squeeze=False)
    backends = list(dict.fromkeys(row["backend"] for row in result["rows"]))
    models = list(dict.fromkeys(row["model"] for row in result["rows"]))
    colours = plt.get_cmap("viridis")(np.linspace(0.15, 0.85, len(models)))
    for panel, size in zip(panels[0], sizes, strict=True):
        for place, (model, colour) in enumerate(zip(models, colours, strict=True)):
            found = {
                row["backend"]: row["ms"] for row in result["rows"] if (row["model"], row["size"]) == (model, size)
            }
            x = np.arange(len(backends)) + (place - (len(models) - 1) / 2) * 0.8 / len(models)
            panel.bar(x, [found[name]["50"] for name in backends], 0.8 / len(models), label=model, color=colour)
        panel.set_xticks(np.arange(len(backends)), [name.replace("_", "\n") for name in backends], fontsize=7)
        panel.set_title(f"{size} px", fontsize=10)
        panel.set_ylabel("ms an image (median)")
    panels[0, 0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def plot_cost(result: dict[str, Any], path: Path) -> None:
    """Seconds and memory against the multiplications of a step, a line for what is varied."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6))
    shown = (("train_s", "training step, s"), ("fill_s", "reconstruction, s"), ("peak_mib", "peak memory, MiB"))
    for panel, (figure_name, label) in zip(panels, shown, strict=True):
        for axis, colour in zip(("size", "width", "batch"), ("#0b6b76", "#d9822b", "#5a5f66"), strict=True):
            rows = [row for row in result["rows"] if row["axis"] == axis]
            panel.plot(
                [row["gmac"] for row in rows], [row[figure_name] for row in rows], "o-", color=colour, label=axis
            )
        panel.set_xscale("log")
        if figure_name != "peak_mib":
            panel.set_yscale("log")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if axis.get_scale() == "log" else MaxNLocator(6))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("GMAC of the batch, forward")
        panel.set_ylabel(label)
    panels[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
