"""The metrics of images of faces that tasks share. Imports no torch."""

import math

from facerecon.evaluation.keys import Metric

CEILING = 10 * math.log10(255**2 * 12)
"""58.9 dB: the error that rounding to whole grey levels makes by itself, 1/12 of a squared level.

No PSNR at the gate counts for more. An image that is restored exactly would else be infinite, and the difference of two
such images undefined; so it counts for as much as could have been seen, and no less than any other.
"""

WHOLE_PSNR = Metric(name="whole_psnr", label="whole PSNR", unit="dB", digits=2)
SSIM = Metric(name="ssim", label="SSIM")


def lpips(backbone: str) -> Metric:
    """The perceptual distance that the LPIPS network of this backbone (vgg, alex) sees."""
    return Metric(name=f"lpips_{backbone}", label="LPIPS", higher_is_better=False, judge=f"lpips_{backbone}")


def identity(network: str) -> Metric:
    """The cosine of the embeddings that this identity network gives result and true face."""
    return Metric(name=f"identity_{network}", label="identity", judge=network)
