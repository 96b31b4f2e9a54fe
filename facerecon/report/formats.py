"""Numbers as people read them."""

import math

import matplotlib
import numpy as np
from numpy.typing import NDArray


def count_text(value: int) -> str:
    """A number as people read it: ``6,312``, from a million on with three digits: ``1.94 M``."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{value:,}"


def bytes_text(value: int) -> str:
    """A file's size: ``7.8 MB``."""
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"


def signed_text(value: float, digits: int = 1) -> str:
    """A difference with its sign; a real minus, and no sign for what rounds to zero."""
    shown = f"{abs(value):.{digits}f}"
    if float(shown) == 0:
        return shown
    return f"{'+' if value > 0 else '−'}{shown}"


def interval_text(low: float | None, high: float | None, digits: int) -> str:
    """An interval of a difference: ``+0.42 to +0.58``, ``–`` where there is none."""
    if low is None or high is None:
        return "–"
    return f"{signed_text(low, digits)} to {signed_text(high, digits)}"


def decibel_text(value: float | None) -> str:
    """A PSNR without its unit: ``18.9``, or ``∞`` for an infinite one, which files hold as null."""
    return "∞" if value is None or math.isinf(value) else f"{value:.1f}"


def palette(colours: str, count: int = 256) -> NDArray[np.uint8]:
    """``count`` colours [count, 3] from one end of a colour map to the other."""
    return np.asarray(matplotlib.colormaps[colours](np.linspace(0, 1, count), bytes=True)[:, :3])


def gradient(colours: str) -> str:
    """A colour map as a CSS gradient from left to right."""
    stops = ("rgb({}, {}, {})".format(*stop) for stop in palette(colours, 9))
    return f"linear-gradient(to right, {', '.join(stops)})"
