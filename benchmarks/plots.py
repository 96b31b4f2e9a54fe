"""Plots of what the benchmarks measured."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from facerecon.files import atomic_path

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LABELS = {"plain": "plain", "plain_tuned": "plain, our loop, tuned", "ours": "ours", "navier_stokes": "Navier-Stokes"}
COLOURS = {"navier_stokes": "#b9b4a7", "plain": "#8fa7b3", "plain_tuned": "#4f7d95", "ours": "#0b6b76"}


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
    panels[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{result['minutes']:g} minutes of training on the same machine, {result['size']} px", fontsize=11)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
