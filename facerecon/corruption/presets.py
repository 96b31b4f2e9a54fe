"""How hard pictures are degraded: named presets with the ranges of the field.

A preset describes a camera and its recorder. **Blur is relative to the crop**: its ranges are in pixels of a crop of
``REFERENCE`` pixels, the size at which GFPGAN and CodeFormer state theirs, and are scaled to the crop's size, so that
the same share of the face is smeared at any size. **What is recorded is absolute**: ``width`` is the width in pixels
that the crop had in the recording, noise is in gray levels of the recording's pixels, and JPEG and H.264 know no other
pixels either. A crop shows no more than its own size: a wider recording counts as one of the crop's size. At
``REFERENCE`` this is what the papers do (GFPGAN's factors 0.8 to 8 are widths 640 to 64); at 64 px the same footage is
seen in a smaller crop, and is not made of faces of 8 px.

Sources: GFPGAN (Wang et al., CVPR 2021), CodeFormer (Zhou et al., NeurIPS 2022), Real-ESRGAN (Wang et al., ICCVW
2021), motion after Boracchi and Foi (TIP 2012) as in DeblurGAN (Kupyn et al., CVPR 2018).

A new preset is one entry of ``PRESETS``; the tests find it there.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from facerecon.errors import FaceReconError
from facerecon.files import digest_of

REFERENCE = 512
"""The crop's size in pixels in which blur is stated."""

DRAWING = 1
"""Counts up whenever the same preset and generator give other pixels."""

Range = tuple[float, float]
"""The mildest value, then the strongest: severity 0 has the first, severity 1 all between them."""


@dataclass(frozen=True)
class NoiseRanges:
    """Noise in gray levels (of 255): ``gaussian`` is its standard deviation, or, of the share ``photons``, ``shot`` is
    that of Poisson noise at white. Of the share ``one_channel`` all channels have the same noise."""

    gaussian: Range = (0.0, 0.0)
    shot: Range = (0.0, 0.0)
    photons: float = 0.0
    one_channel: float = 0.0


@dataclass(frozen=True)
class SecondPass:
    """What a recorder does to a picture that was recorded before, as in Real-ESRGAN: the ``share`` of pictures that it
    is done to, ``blur`` (sigma in pixels of the first recording), ``resize`` (the width of the recording over that of
    the first), the ``ringing`` share that is then filtered by a sharp circular low-pass ("sinc"), noise and JPEG as in
    ``Preset``."""

    share: float
    blur: Range
    resize: Range
    ringing: float
    noise: NoiseRanges
    jpeg: Range | None


@dataclass(frozen=True)
class Preset:
    """Ranges, each (mildest, strongest), and shares in [0, 1].

    ``blur``: sigma of a Gaussian in pixels of ``REFERENCE``; of the share ``anisotropic`` the two axes have their own,
    and the share ``defocus`` is blurred by a disc of equal variance instead (radius 2 sigma). ``motion``: length of the
    way in pixels of ``REFERENCE``, of the share ``moving``. ``width``: of the crop in the recording in pixels, its
    reciprocal is uniform; None: the crop's own. ``gray``: the share that is recorded without colour. ``light``: the
    share of the light that is left, in (0, 1], before noise; ``gain``: the share of the lost brightness, in stops, that
    the camera puts back after it. ``jpeg``: quality, ``h264``: constant rate factor; None: not compressed by it.

    Severity scales the ranges and the shares ``gray``, ``second.share`` and ``second.ringing``; the other shares choose
    a kind.
    """

    name: str
    source: str
    evaluation_only: bool = False
    blur: Range = (0.0, 0.0)
    anisotropic: float = 0.0
    defocus: float = 0.0
    motion: Range = (0.0, 0.0)
    moving: float = 0.0
    width: Range | None = None
    gray: float = 0.0
    light: Range = (1.0, 1.0)
    gain: Range = (0.0, 0.0)
    noise: NoiseRanges = NoiseRanges()
    jpeg: Range | None = None
    second: SecondPass | None = None
    h264: Range | None = None

    @property
    def blurs_alone(self) -> bool:
        """Whether blur is all that it does: then the picture is the true one convolved with the drawn kernel."""
        alone = replace(CLEAN, blur=self.blur, anisotropic=self.anisotropic, defocus=self.defocus)
        alone = replace(alone, motion=self.motion, moving=self.moving)
        return self != CLEAN and self.digest == alone.digest

    @property
    def digest(self) -> str:
        """SHA-256 over its ranges and over how they are drawn; neither name nor source are part of it."""
        about: dict[str, Any] = asdict(self)
        return digest_of([DRAWING, REFERENCE, {key: about[key] for key in about if key not in ("name", "source")}])


CLEAN = Preset("clean", "the crop as it is")

# Real-ESRGAN's Poisson noise of scale s is s times that of 256 photons at white: there 255 s / 16 gray levels
_SECOND = SecondPass(
    share=0.8,
    blur=(0.2, 1.5),
    resize=(0.3, 1.2),
    ringing=0.8,
    noise=NoiseRanges((1.0, 25.0), (0.8, 40.0), photons=0.5, one_channel=0.4),
    jpeg=(95.0, 30.0),
)

_CCTV = Preset(
    "cctv_train",
    "CodeFormer's large degradation (blur 1-15, noise 0-20, JPEG 30-80) recorded 14-56 px wide, motion blur and discs "
    "of defocus, gray 25 %, then Real-ESRGAN's second pass (share 0.8)",
    blur=(1.0, 15.0),
    anisotropic=0.5,
    defocus=0.2,
    motion=(0.0, 72.0),
    moving=0.5,
    width=(56.0, 14.0),
    gray=0.25,
    noise=NoiseRanges((0.0, 20.0)),
    jpeg=(80.0, 30.0),
    second=_SECOND,
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        CLEAN,
        Preset(
            "mild",
            "CodeFormer's stage III (noise 0-15, JPEG 60-100) with half of its blur (0.1-5) and of its downsampling",
            blur=(0.1, 5.0),
            anisotropic=0.5,
            width=(512.0, 85.0),
            noise=NoiseRanges((0.0, 15.0)),
            jpeg=(100.0, 60.0),
        ),
        Preset(
            "motion",
            "curved motion blur alone, 4 to 9 px at 64 px; the way after Boracchi and Foi, as in DeblurGAN",
            motion=(32.0, 72.0),
            moving=1.0,
        ),
        Preset(
            "gfpgan",
            "GFPGAN: blur 0.1-10, factor 0.8-8, noise 0-20, JPEG 60-100, gray 1 %",
            blur=(0.1, 10.0),
            anisotropic=0.5,
            width=(640.0, 64.0),
            gray=0.01,
            noise=NoiseRanges((0.0, 20.0)),
            jpeg=(100.0, 60.0),
        ),
        _CCTV,
        replace(
            _CCTV,
            name="cctv",
            source=f"{_CCTV.source}; then H.264 at CRF 23-37 in place of its second JPEG",
            evaluation_only=True,
            second=replace(_SECOND, jpeg=None),
            h264=(23.0, 37.0),
        ),
    )
}
"""Every preset by name. None that is trained on has H.264: it measures what a model does with a codec it never saw."""

TRAINING_PRESETS: tuple[str, ...] = tuple(name for name, preset in PRESETS.items() if not preset.evaluation_only)


@dataclass(frozen=True)
class RobustnessCase:
    """One step of a ``family`` of damage that is measured alone: at ``level`` (quality, CRF or sigma) exactly."""

    family: str
    level: int
    preset: Preset


def robustness_cases() -> list[RobustnessCase]:
    """JPEG of quality 90 to 10, H.264 of CRF 23 to 45 and Gaussian noise of sigma 5 to 20, each alone, mildest first.

    Their presets (``jpeg_90``) are for evaluation only, and not among ``PRESETS``; severity changes nothing in them.
    """

    levels: tuple[tuple[str, Callable[[Preset, Range], Preset], tuple[int, ...]], ...] = (
        ("jpeg", lambda preset, level: replace(preset, jpeg=level), (90, 70, 50, 30, 10)),
        ("h264", lambda preset, level: replace(preset, h264=level), (23, 30, 37, 45)),
        ("noise", lambda preset, level: replace(preset, noise=NoiseRanges(level)), (5, 10, 20)),
    )
    cases = []
    for family, at, steps in levels:
        for level in steps:
            name = f"{family}_{level}"
            alone = at(Preset(name, f"{family} {level} alone", evaluation_only=True), (float(level), float(level)))
            cases.append(RobustnessCase(family, level, alone))
    return cases


_ALONE = {case.preset.name: case.preset for case in robustness_cases()}

ROBUSTNESS_PRESETS: tuple[str, ...] = (CLEAN.name, *_ALONE)
"""What is frozen to measure robustness: the faces as they are, and each step."""

EVALUATION_PRESETS: tuple[str, ...] = (*PRESETS, *_ALONE)
"""What may be evaluated: every preset, and each step of the families of damage."""


def find_preset(name: str) -> Preset:
    """The preset of that name, of ``PRESETS`` or of a robustness case; FaceReconError if there is none."""
    known = PRESETS | _ALONE
    if name not in known:
        raise FaceReconError(f"no preset of degradations is named {name!r}: choose from {', '.join(known)}")
    return known[name]
